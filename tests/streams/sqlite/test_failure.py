"""Failure: every error of a store has a remedy, and says how long publishes are refused."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from gateway.errors import StoreFailed
from gateway.streams.sqlite.failure import Until, cannot_open, failure_of

PATH = Path("/srv/streams.db")


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("it says so")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "until", "words"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), Until.STORED, "it says so: make room on its disk"),
        (sqlite_error(sqlite3.SQLITE_NOMEM), Until.STORED, "more memory"),
        (sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE), Until.STORED, "make room on its disk"),
        (MemoryError(), Until.STORED, "out of memory: give the gateway more memory"),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), Until.PROVED, "check the disk"),
        (sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), Until.PROVED, "check the disk"),
        (OSError(5, "Input/output error"), Until.PROVED, "check the disk"),
        (OSError(errno.EMFILE, "Too many open files"), Until.PROVED, "more file descriptors (ulimit -n)"),
        (OSError("no number"), Until.PROVED, "check the disk"),
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), Until.PROVED, "end the other program"),
        (sqlite_error(sqlite3.SQLITE_READONLY_DBMOVED), Until.PROVED, "let this user write"),
        (sqlite_error(sqlite3.SQLITE_CORRUPT_INDEX), Until.RESTARTED, "restore a copy"),
        (sqlite_error(sqlite3.SQLITE_NOTADB), Until.RESTARTED, "restore a copy"),
        (StoreFailed("/srv/streams.db was removed: put it back"), Until.PROVED, "was removed: put it back"),
    ],
)
def test_each_failure_has_a_remedy(error: Exception, until: Until, words: str) -> None:
    failure = failure_of(PATH, error)
    assert (failure.until, failure.expected) == (until, True)
    assert words in str(failure.error)
    assert str(PATH) in str(failure.error)


def test_a_fault_of_the_program_is_told_as_one() -> None:
    failure = failure_of(PATH, ZeroDivisionError("division by zero"))
    assert not failure.expected
    assert "ZeroDivisionError: division by zero: please report it" in str(failure.error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), "make room"),
        (sqlite_error(sqlite3.SQLITE_BUSY), "end the other program"),
        (sqlite_error(sqlite3.SQLITE_READONLY_DIRECTORY), "let this user write"),
        (sqlite_error(sqlite3.SQLITE_IOERR_READ), "check the disk"),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), "file descriptors"),
        (OSError(errno.ENFILE, "Too many open files in system"), "more file descriptors (ulimit -n)"),
        (PermissionError(errno.EACCES, "Permission denied"), "let this user write"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "make room"),
        (OSError(errno.EIO, "Input/output error"), "check the disk"),
        (sqlite_error(sqlite3.SQLITE_CORRUPT), "damaged, or not a store"),
        (ValueError("'x' is not a valid Kind"), "damaged, or not a store"),
    ],
)
def test_a_file_that_cannot_be_opened_is_told_with_the_remedy(error: Exception, words: str) -> None:
    refusal = cannot_open(PATH, error)
    assert f"store {PATH} cannot be used: {error}; " in str(refusal)
    assert words in str(refusal)
