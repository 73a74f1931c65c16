"""Failure: an error of a store, with its remedy, and the end of the time in which publishes are refused."""

from __future__ import annotations

import enum
import errno
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import StoreFailed

_RESTORE: Final = "stop the gateway, restore a copy or save what sqlite3's .recover can read, then start it"


class FileDamaged(StoreFailed):
    """Parts of the file are missing."""


class Until(enum.IntEnum):
    """End of the time in which publishes to durable streams are refused; a failure that lasts longer is greater."""

    STORED = 0
    """Each publish is tried; one that fits is stored."""
    PROVED = 1
    """Each publish is refused without being tried, until the store has proved that it works."""
    RESTARTED = 2
    """The file must be repaired while the gateway is stopped."""


CONSEQUENCES: Final = {
    Until.STORED: "publishes that it cannot store are refused with QUEUE_FULL",
    Until.PROVED: "publishes to durable streams are refused with QUEUE_FULL until it works again",
    Until.RESTARTED: "publishes to durable streams are refused with QUEUE_FULL until the gateway is started again",
}


class Failure(NamedTuple):
    """Failure of an operation of a store."""

    error: StoreFailed
    """Error that publishers and the log are told, with the file, the reason and the remedy."""
    until: Until
    expected: bool
    """False: a fault of the program, whose traceback is logged."""


_DISK: Final = "check the disk, and its free space and quota"
_ROOM: Final = "make room on its disk"
_ACCESS: Final = "let this user write the file, its directory and its disk"
_DESCRIPTORS: Final = "let the process have more file descriptors (ulimit -n)"
_KINDS: Final = {
    sqlite3.SQLITE_FULL: (Until.STORED, _ROOM),
    sqlite3.SQLITE_NOMEM: (Until.STORED, "give the gateway more memory"),
    sqlite3.SQLITE_IOERR: (Until.PROVED, _DISK),
    # SQLite does not tell why it cannot open a file.
    sqlite3.SQLITE_CANTOPEN: (Until.PROVED, f"{_DISK}, or {_DESCRIPTORS}"),
    sqlite3.SQLITE_BUSY: (Until.PROVED, "end the other program that writes it"),
    sqlite3.SQLITE_LOCKED: (Until.PROVED, "end the other program that writes it"),
    sqlite3.SQLITE_PROTOCOL: (Until.PROVED, "end the other programs that use it"),
    sqlite3.SQLITE_READONLY: (Until.PROVED, _ACCESS),
    sqlite3.SQLITE_PERM: (Until.PROVED, _ACCESS),
    sqlite3.SQLITE_CORRUPT: (Until.RESTARTED, _RESTORE),
    sqlite3.SQLITE_NOTADB: (Until.RESTARTED, _RESTORE),
}
"""Failures by the primary code of SQLite."""

_OF_SYSTEM: Final = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
    errno.EROFS: _ACCESS,
    errno.EMFILE: _DESCRIPTORS,
    errno.ENFILE: _DESCRIPTORS,
}
"""Remedies by the number of an error of the operating system."""


def failure_of(path: Path, error: BaseException) -> Failure:
    """Return the failure that an exception means.

    Args:
        path: the store's file.
        error: of SQLite, of the operating system, or of the program; a :class:`~gateway.errors.StoreFailed` has its
            remedy already.
    """
    if isinstance(error, StoreFailed):
        until = Until.RESTARTED if isinstance(error, FileDamaged) else Until.PROVED
        return Failure(error, until, expected=True)
    lasts, reason = _judged(error)
    return Failure(_told(f"store {path} failed: {reason}", error), lasts or Until.STORED, expected=lasts is not None)


def damaged(path: Path, problem: str) -> FileDamaged:
    """Return the error for a file of which parts are missing."""
    return FileDamaged(f"store {path} failed: {problem}: {_RESTORE}")


def reason_of(error: BaseException) -> str:
    """Return what went wrong, and the remedy, without the name of the file."""
    return str(error) if isinstance(error, StoreFailed) else _judged(error)[1]


def _judged(error: BaseException) -> tuple[Until | None, str]:
    """Return how long publishes are refused, with the reason and the remedy; ``None``: a fault of the program."""
    code = primary_code(error)
    if code in _KINDS:
        until, remedy = _KINDS[code]
    elif isinstance(error, OSError):
        until, remedy = Until.PROVED, remedy_of(error) or _DISK
    else:
        return None, f"{type(error).__name__}: {error}: please report it"
    return until, f"{str(error) or 'out of memory'}: {remedy}"


def cannot_open(path: Path, error: Exception) -> StoreFailed:
    """Return the refusal to start with a file that cannot be used."""
    code = primary_code(error)
    if isinstance(error, OSError):
        remedy = remedy_of(error) or _DISK
    elif code in (None, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or code not in _KINDS:
        remedy = "it is damaged, or not a store: restore a copy, or name another file"
    else:
        remedy = _KINDS[code][1]
    return _told(f"store {path} cannot be used: {error}; {remedy}", error)


def remedy_of(error: OSError) -> str | None:
    """Return what to do about an error of the operating system; ``None``: its number does not tell."""
    return None if error.errno is None else _OF_SYSTEM.get(error.errno)


def primary_code(error: BaseException) -> int | None:
    """Return the code of SQLite without its details; ``None``: the error is not one of SQLite."""
    if isinstance(error, MemoryError):
        return sqlite3.SQLITE_NOMEM
    code = getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.Error) else None
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:
        # A full disk, too: the index of the log cannot grow.
        return sqlite3.SQLITE_FULL
    return None if code is None else code & 0xFF


def _told(text: str, error: BaseException) -> StoreFailed:
    failure = StoreFailed(text)
    failure.__cause__ = error
    return failure
