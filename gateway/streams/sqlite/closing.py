"""Closing of a store's file: the last transaction, the copy of the log, and the message about what was not done."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from gateway.errors import StoreFailed
from gateway.protocol.durability import Durability
from gateway.streams.sqlite.database_file import DatabaseFile
from gateway.streams.sqlite.failure import reason_of
from gateway.streams.store_files import kept_together


def close_file(file: DatabaseFile, write_rest: Callable[[], object], rest: str, damage: StoreFailed | None) -> None:
    """Write everything to the disk and close the file, which may then be copied.

    Args:
        file: the file.
        write_rest: writes what is left, in a transaction.
        rest: name of what is left.
        damage: the file is damaged, and not written any more.

    Raises:
        StoreFailed: the file is closed, but something is missing in it; the message says which files belong together.
    """
    problems, copied = [] if damage is None else [str(damage)], False
    if damage is None:
        copied = _finish(file, write_rest, rest, problems)
    in_place = file.in_place
    try:
        file.close()
    except sqlite3.Error as error:
        problems.append(f"store {file.path} cannot be closed: {reason_of(error)}")
    if problems:
        raise StoreFailed(f"{problems[0]}{_left(file, copied, in_place)}")


def _finish(file: DatabaseFile, write_rest: Callable[[], object], rest: str, problems: list[str]) -> bool:
    """Write what is left, then copy the log into the file; return whether all of it was copied."""
    store = f"store {file.path} was not closed in good order"
    try:
        with file.transaction(Durability.FSYNC):
            write_rest()
    except Exception as error:  # noqa: BLE001 - whatever it is, the file is closed
        problems.append(f"{store}: {rest} cannot be written: {reason_of(error)}")
    try:
        copied = file.checkpoint()
    except Exception as error:  # noqa: BLE001 - the same
        problems.append(f"{store}: its log cannot be copied into it: {reason_of(error)}")
        return False
    if not copied:
        problems.append(f"{store}: another program reads it and keeps its log from being copied into it")
    return copied


def _left(file: DatabaseFile, copied: bool, in_place: bool) -> str:
    """Return which files belong together, for the end of a message."""
    if in_place:
        # A damaged file without a log is not complete.
        return f"; {kept_together(file.path)}" if copied or os.path.exists(file.log_path) else ""
    how = "is complete without" if copied else "belongs together with"
    return f"; what was {file.path}, if it still exists, {how} {file.log_path}"
