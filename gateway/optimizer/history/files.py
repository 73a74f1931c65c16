"""Files of a traffic history: records are appended to the newest, and the oldest are removed past a size."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from gateway.optimizer.history.layout import FILE_HEADER

NAME: Final = re.compile(r"traffic-(\d{12})-\d+\.frys")
"""Name of a file: its number in the history, higher for a later one whatever the clock says, and its writer."""
MAX_ATTEMPTS: Final = 16
"""Number of names that are tried for a new file."""
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Size at which the next file begins, unless the whole history is small: then an eighth of it."""


def history_files(directory: Path) -> list[Path]:
    """Return the files of a traffic history, the oldest first.

    Raises:
        OSError: the directory cannot be read.
    """
    return [directory / name for name in sorted(filter(NAME.fullmatch, os.listdir(directory)))]


class HistoryFiles:
    """Files of one writer, in a directory that others may write to as well.

    Args:
        directory: holds the files; made if it is missing.
        max_bytes: size of all files past which the oldest are removed, also those of other writers.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._file_bytes = min(MAX_FILE_BYTES, max_bytes // 8)
        self._path: Path | None = None
        self._file = -1
        self._size = 0
        self._other_bytes = 0
        """Size of the files before the present one."""

    @property
    def held_bytes(self) -> int:
        """Size of all files."""
        return self._other_bytes + self._size

    def append(self, records: bytes) -> None:
        """Append whole records; behind a failure, nothing of them stays, as far as the disk allows.

        Raises:
            OSError: they cannot be written.
        """
        if self._path is None or self._size + len(records) > self._file_bytes or self._is_gone():
            self._begin()
        try:
            self._write(records)
        except OSError:
            # The file stays open: on a disk that is full, each attempt would leave another empty one.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(records)
        if self.held_bytes > self._max_bytes:
            self._remove_oldest()

    def close(self) -> None:
        """Close the present file; the next record begins another one."""
        if self._path is not None:
            file = self._file
            self._other_bytes += self._size
            self._path, self._file, self._size = None, -1, 0
            with contextlib.suppress(OSError):  # it is closed all the same, and what it had is written or is not
                os.close(file)

    def _is_gone(self) -> bool:
        """Return whether the present file was removed, be it by another client of a network file system."""
        try:
            return not os.fstat(self._file).st_nlink
        except OSError:
            return True

    def _begin(self) -> None:
        self.close()
        self._directory.mkdir(parents=True, exist_ok=True)
        before = history_files(self._directory)
        number = 1 + (int(before[-1].name.split("-")[1]) if before else 0)
        self._path, self._file = self._created(number)
        try:
            self._write(FILE_HEADER)
        except OSError:
            self._path.unlink(missing_ok=True)
            self.close()
            raise
        self._size = len(FILE_HEADER)
        self._remove_oldest()

    def _created(self, number: int) -> tuple[Path, int]:
        """Create a file with this number or, if a writer with the same id in another container has it, a later one."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        for later in range(number, number + MAX_ATTEMPTS):
            path = self._directory / f"traffic-{later:012d}-{os.getpid()}.frys"
            try:
                return path, os.open(path, flags, 0o666)
            except FileExistsError as error:
                taken = error
        raise taken

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]

    def _remove_oldest(self) -> None:
        """Remove the oldest files until the others fit; the present one stays."""
        sizes: dict[Path, int] = {}
        with contextlib.suppress(OSError):  # the records are written, whatever becomes of the directory
            for path in history_files(self._directory):
                with contextlib.suppress(FileNotFoundError):  # another writer has removed it
                    sizes[path] = path.stat().st_size
        if self._path is not None:
            sizes.pop(self._path, None)
        left_bytes = sum(sizes.values())
        for path, size in sizes.items():
            if left_bytes + self._size <= self._max_bytes:
                break
            with contextlib.suppress(OSError):  # one that cannot be removed still takes its room
                path.unlink(missing_ok=True)
                left_bytes -= size
        self._other_bytes = left_bytes
