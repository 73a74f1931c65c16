"""Arrays in ``.npy`` and ``.npz`` files: read without a copy and without unpickling, written under safe names."""

from __future__ import annotations

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


def read_arrays(path: str, stdin: BinaryIO) -> Array | dict[str, Array]:
    """What a file holds: the array of an ``.npy`` (mapped, not read), or those of an ``.npz`` by name.

    Args:
        path: the file; ``-`` for standard input.
        stdin: where ``-`` is read from.

    Raises:
        OSError: it cannot be read.
        CommandFailed: it holds no arrays, or such as only pickle can read.
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
        # numpy's advice is to allow pickle, which nobody here should follow.
        reason = "it holds Python objects, or no array at all" if "object" in str(error) else error
        raise CommandFailed(ExitCode.FAILURE, f"{path}: not a usable .npy or .npz file: {reason}") from error


def path_of(directory: Path, message: Message) -> Path:
    """Where a message is saved: ``<directory>/<workflow>/<name>@<offset>.npy``.

    No stream's name leads out of the directory or to another stream's file: ``@`` and ``%`` occur in none.
    """
    *folders, name = message.stream.split("/")
    # A segment may be "." or ".."; as the beginning of a file's name neither means anything.
    safe = [folder.replace(".", "%2E") if folder in (".", "..") else folder for folder in folders]
    suffix = ".npy" if _is_single(message) else ".npz"
    return directory.joinpath(*safe, f"{name}@{message.offset:08d}{suffix}")


def save(directory: Path, message: Message) -> Path | None:
    """Write a message's tensor as ``.npy``, or several, by name, as ``.npz``.

    Returns:
        The file, which is complete or absent at any moment; None for a message without tensors.

    Raises:
        OSError: it cannot be written.
    """
    if not message.specs:
        return None
    path = path_of(directory, message)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        if _is_single(message):
            np.save(file, message.tensor, allow_pickle=False)
        else:
            _write_npz(file, message.tensors)
    os.replace(partial, path)
    return path


def _is_single(message: Message) -> bool:
    return len(message.specs) == 1 and not message.specs[0].name


def _write_npz(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    # Not np.savez, which takes names as keywords and writes them as they are: a publisher chose them, so a name may be
    # one of its own keywords, or lead out of the directory where somebody unzips the file.
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
