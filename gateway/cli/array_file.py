"""Arrays in ``.npy`` files (read without a copy) and ``.npz`` files: never unpickled, written under safe names."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote

import numpy as np

from gateway.cli.exit_code import CommandFailed, ExitCode
from gateway.client import Message
from gateway.protocol.tensors import Array

STDIN: Final = "-"
ZIP_MAGIC: Final = b"PK\x03\x04"

PARTIAL: Final = ".part"
"""End of the name of a file that is being written."""

MAX_NAME_BYTES: Final = 255 - len(PARTIAL)
"""Length of the longest name of a complete file: file systems take names of 255 bytes, streams may have them."""

DIGEST_DIGITS: Final = 16
"""Hexadecimal digits that stand for the end of a name that is too long."""


def read_arrays(path: str, stdin: BinaryIO) -> Array | dict[str, Array]:
    """Return the array of an ``.npy`` file (mapped, not read), or the arrays of an ``.npz`` file by name.

    Args:
        path: the file; ``-`` for standard input.
        stdin: the standard input.

    Raises:
        OSError: the file cannot be read.
        CommandFailed: the file holds no array, or one that only pickle can read.
    """
    try:
        if path == STDIN:
            return _load(io.BytesIO(stdin.read()))
        with open(path, "rb") as file:
            if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
                file.seek(0)
                return _load(file)
        return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        # Not numpy's text, which advises to allow pickle: a pickle may run any code.
        reason = "it holds Python objects, or no array" if "object" in str(error) else error
        raise CommandFailed(ExitCode.FAILURE, f"{path}: not a usable .npy or .npz file: {reason}") from error


class Recorder:
    """Files of the messages that a subscription gets, in a directory that may hold those of earlier ones.

    A stream that begins again, because the gateway was restarted, has offsets of earlier messages. Their files are
    kept: names of messages of another epoch have the epoch in them. A file has the time of its message.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._plain_epochs: dict[str, int | None] = {}
        """Epoch of each stream that stands in no name; ``None``: each epoch stands in the names."""

    def save(self, message: Message) -> Path | None:
        """Write the tensor of a message as ``.npy``, or several tensors by name as ``.npz``.

        Returns:
            The file, which is complete or absent at any moment; None for a message without tensors.

        Raises:
            OSError: the file cannot be written.
        """
        if not message.specs:
            return None
        path = self._path_of(message)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + PARTIAL)
        with partial.open("wb") as file:
            if _is_single(message):
                np.save(file, message.tensor, allow_pickle=False)
            else:
                _write_npz(file, message.tensors)
        os.utime(partial, ns=(message.timestamp_ns, message.timestamp_ns))
        os.replace(partial, path)
        return path

    def _path_of(self, message: Message) -> Path:
        if self._plain_epochs.setdefault(message.stream, message.epoch) == message.epoch:
            path = path_of(self._directory, message)
            if not path.exists() or path.stat().st_mtime_ns == message.timestamp_ns:
                return path
            self._plain_epochs[message.stream] = None
        return path_of(self._directory, message, f"@{message.epoch}")


def path_of(directory: Path, message: Message, mark: str = "") -> Path:
    """Return the path for a message: ``<directory>/<workflow>/<name><mark>@<offset>.npy``.

    No name of a stream leads out of the directory or to a file of another stream: ``@``, ``%`` and ``~`` occur in no
    name. The end of a name that is too long for a file is replaced by ``~`` and a digest of the name.
    """
    *folders, name = message.stream.split("/")
    # A segment may be "." or ".."; the last one needs no escape, because a longer file name begins with it.
    safe = [folder.replace(".", "%2E") if folder in (".", "..") else folder for folder in folders]
    suffix = ".npy" if _is_single(message) else ".npz"
    end = f"{mark}@{message.offset:08d}{suffix}"
    return directory.joinpath(*safe, _shortened(name, MAX_NAME_BYTES - len(end)) + end)


def _shortened(name: str, max_bytes: int) -> str:
    if len(name) <= max_bytes:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST_DIGITS]
    return f"{name[: max_bytes - DIGEST_DIGITS - 1]}~{digest}"


def _is_single(message: Message) -> bool:
    return len(message.specs) == 1 and not message.specs[0].name


def _write_npz(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    # Not np.savez, which takes names as keywords and writes them unchanged. The publisher has chosen the names: one may
    # be a keyword of np.savez, or lead out of the directory in which the file is unzipped.
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{quote(name, safe='')}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _load(file: BinaryIO) -> Array | dict[str, Array]:
    loaded: Any = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.lib.npyio.NpzFile):
        with loaded:
            return dict(loaded)
    array: Array = loaded
    return array
