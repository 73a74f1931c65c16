"""Database file: the open file of a store, its transactions, and the check that it is still in its place."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.errors import StoreFailed
from gateway.protocol.durability import Durability
from gateway.streams.sqlite.file_format import BUSY_TIMEOUT_S, connect

CHECKPOINT_PAGES: Final = 4096
"""Size of the write-ahead log, 16 MiB, at which SQLite copies it into the file."""

OVERDUE_BYTES: Final = 4 * CHECKPOINT_PAGES * 4096
"""Size of the write-ahead log at which it is copied by a checkpoint that reports its failure, as SQLite's does not."""

PROBE_ID: Final = -1
"""Id of a large message that does not exist, under which a probe is written."""


class DatabaseFile:
    """File that is open for writing, together with its write-ahead log. Used by one thread at a time.

    Args:
        path: the file, without symbolic links; created if it does not exist.

    Attributes:
        path: the file.
        connection: connection that writes.

    Raises:
        StoreFailed: the file cannot be opened, or is not a store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = connect(path)
        self._synchronous = ""
        self._name = str(path)
        self._place: tuple[int, int] | None = None
        """Device and inode of the file."""
        self._places: dict[str, tuple[int, int]] = {}
        """Device and inode of each file that belongs to the store."""

    @property
    def log_path(self) -> Path:
        """The write-ahead log, which SQLite deletes when the file is closed in good order."""
        return self.path.with_name(f"{self.path.name}-wal")

    def watch(self) -> None:
        """Note the files that belong to the store; to be called when the first transaction has made them.

        Raises:
            OSError: one of the files is missing.
        """
        for path in (self.path, self.log_path, self.path.with_name(f"{self.path.name}-shm")):
            found = os.stat(path)
            self._places[str(path)] = (found.st_dev, found.st_ino)
        self._place = self._places[self._name]

    def watch_name(self, name: Path) -> None:
        """Note another name that leads to the file, such as a symbolic link; it must not lead elsewhere later.

        Raises:
            OSError: the name leads nowhere.
        """
        found = os.stat(name)
        self._places[str(name.absolute())] = (found.st_dev, found.st_ino)

    def check_in_place(self) -> None:
        """Check that the files are found under their names: what is written to a removed one is lost with the process.

        Raises:
            StoreFailed: a file was removed, moved or replaced.
            OSError: the file system does not answer.
        """
        for path, place in self._places.items():
            _check_place(path, place)

    @contextmanager
    def transaction(self, durability: Durability) -> Iterator[None]:
        """Commit what the caller writes, or nothing.

        Raises:
            sqlite3.Error: the file cannot be written.
            StoreFailed: the file is not in its place any more.
        """
        connection = self.connection
        if connection.in_transaction:
            # The last one failed, and so did its end.
            connection.execute("ROLLBACK")
        # With NORMAL a commit has reached the operating system when it returns, with FULL the disk.
        synchronous = "FULL" if durability is Durability.FSYNC else "NORMAL"
        if synchronous != self._synchronous:
            connection.execute(f"PRAGMA synchronous={synchronous}")
            self._synchronous = synchronous
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            if self._place is not None:
                # Only the file with the tables, 2 us. The log is still open if it is removed: after the next check of
                # all files it is copied into this one.
                _check_place(self._name, self._place)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    # Checkpoints.

    def checkpoint_overdue(self) -> None:
        """Copy the write-ahead log into the file if it has grown far beyond its size: checkpoints failed, or readers.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        try:
            size = os.stat(self.log_path).st_size
        except FileNotFoundError:
            return
        if size >= OVERDUE_BYTES:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def checkpoint(self) -> bool:
        """Copy the write-ahead log into the file and empty it; return whether all of it was copied.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        busy, _, _ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    # After a failure.

    def wait_for_others(self, *, wait: bool) -> None:
        """Wait for other programs that write the file, or fail at once, as long as publishers are refused anyway."""
        self.connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000) if wait else 0}")

    def prove(self, size: int, *, all_of_it: bool) -> None:
        """Prove that the disk takes so many bytes.

        Args:
            size: bytes that are written and deleted again.
            all_of_it: the log is copied into the file first. A failed fsync may have lost pages of the log, and a later
                one does not report it again.

        Raises:
            sqlite3.Error: the disk does not take them.
            StoreFailed: the file is not in its place, or a reader keeps the log from being copied.
        """
        if not self.checkpoint() and all_of_it:
            raise StoreFailed(f"store {self.path}: another program reads it and keeps its log from being copied")
        self.check_in_place()
        with self.transaction(Durability.FSYNC):
            insert = "INSERT OR REPLACE INTO chunks VALUES (?, 0, NULL, zeroblob(?))"
            self.connection.execute(insert, (PROBE_ID, size))
        with self.transaction(Durability.OS):
            self.connection.execute("DELETE FROM chunks WHERE large = ?", (PROBE_ID,))

    def close(self) -> None:
        """Close the file. SQLite deletes the write-ahead log if all of it is in the file."""
        self.connection.close()


def _check_place(path: str, place: tuple[int, int]) -> None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        problem = "was removed or moved while the gateway runs"
    else:
        if (found.st_dev, found.st_ino) == place:
            return
        problem = "was replaced while the gateway runs"
    raise StoreFailed(f"{path} {problem}: put it back, or start the gateway again with the file it shall use")
