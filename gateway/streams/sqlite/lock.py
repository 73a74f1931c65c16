"""File lock: keeps a second gateway from using a store's file, whatever name leads to it."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from gateway.errors import StoreFailed
from gateway.streams.sqlite.failure import remedy_of

LOCKS: Final = Path("/proc/locks")
"""Table of Linux with the holder of each lock."""

_held: Final[set[tuple[int, int]]] = set()
"""Device and inode of the files that this process has locked."""


class FileLock:
    """Lock on a file, held until :meth:`release` or the end of the process, however it ends.

    SQLite's own locks would let two gateways take turns, and its log belongs to one name of the file. Two locks are
    taken. The one on ``<file>-lock``, which stays beside the file, keeps a second gateway out before it opens the file:
    a process that closes any descriptor of a file loses SQLite's locks on it. The one on the file itself follows a file
    that is moved. It is taken on Linux only, where SQLite's locks do not conflict with it.

    Args:
        path: the file; created if it does not exist. To be locked before SQLite opens it, and released after it has
            closed it.

    Attributes:
        path: the file, without symbolic links.

    Raises:
        StoreFailed: another gateway has it, it cannot be opened or locked, or it has several names.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))
        check_kind(path)  # before a lock file is made beside it
        with ExitStack() as undo:
            lock_path = self.path.with_name(f"{self.path.name}-lock")
            with _told(path, lock_path):
                self._beside = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            undo.callback(os.close, self._beside)
            if not _locked(self._beside):
                holder = os.read(self._beside, 32).decode(errors="replace").strip()
                raise _in_use(path, holder)
            with _told(path, lock_path):
                os.ftruncate(self._beside, 0)
                os.pwrite(self._beside, b"%d\n" % os.getpid(), 0)
            if _place_of(self.path) in _held:
                # Not even opened: closing it would take SQLite's locks from the other one in this process.
                raise _in_use(path, str(os.getpid()))
            with _told(path, self.path):
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            undo.callback(os.close, self._file)
            if sys.platform == "linux" and not _locked(self._file):
                raise _in_use(path, _holder_of(self._file))
            check_names(path)
            self._place = _place_of(self._file)
            _held.add(self._place)
            undo.pop_all()

    def release(self) -> None:
        """Release the lock."""
        _held.discard(self._place)
        os.close(self._file)
        os.close(self._beside)


def check_kind(path: Path) -> None:
    """Check that a path leads to a regular file, or to none yet.

    Raises:
        StoreFailed: it leads to a directory, a device or the like.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise StoreFailed(f"store {path} is {'a directory' if os.path.isdir(path) else 'no regular file'}: name a file")


def check_names(path: Path) -> None:
    """Check that a file has one name; a symbolic link that leads to it does not count.

    Raises:
        StoreFailed: it has several.
    """
    names = os.stat(path).st_nlink if os.path.exists(path) else 1
    if names > 1:
        problem = f"store {path} has {names} names (hard links), and its log belongs to one of them"
        raise StoreFailed(f"{problem}: remove the others (find DIRECTORY -samefile {os.path.realpath(path)})")


def _place_of(file: Path | int) -> tuple[int, int]:
    """Return device and inode of a file; zeros if it does not exist."""
    try:
        found = os.stat(file)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


@contextmanager
def _told(path: Path, opened: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise StoreFailed(f"store {path}: the directory {opened.parent} does not exist: create it") from error
    except OSError as error:
        remedy = remedy_of(error)
        problem = f"store {path} cannot be used: {opened}: {error.strerror}"
        raise StoreFailed(f"{problem}: {remedy}" if remedy else problem) from error


def _locked(descriptor: int) -> bool:
    """Lock a file if nobody else has; return whether it is locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder_of(descriptor: int) -> str:
    """Return the process that has locked a file; empty if the system does not tell."""
    found = os.fstat(descriptor)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        lines = LOCKS.read_text("ascii").splitlines()
    except OSError:
        return ""
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 4711 fe:00:1056 0 EOF
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place:
            return fields[4]
    return ""


def _in_use(path: Path, holder: str) -> StoreFailed:
    problem = f"store {path} is in use by another gateway (process {holder or 'unknown'})"
    return StoreFailed(f"{problem}: stop it, or name another file")
