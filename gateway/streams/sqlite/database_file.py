"""Database file: the open file of a store, its transactions, and the check that it is still in its place."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.errors import StoreFailed
from gateway.protocol.durability import Durability
from gateway.streams.sqlite.failure import damaged
from gateway.streams.sqlite.file_format import BUSY_TIMEOUT_S, connect, connect_reader
from gateway.streams.store_files import log_of

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
        self._least_bytes = 0
        """Size of the file when it was looked at last; SQLite makes it smaller only if there are fewer pages."""
        self._log: int | None = None
        """Descriptor of the log. SQLite has no locks on it that closing it could release."""
        self._least_log_bytes = 0
        """Size of the log when it was looked at last; SQLite makes it smaller only if nothing in it is needed."""

    @property
    def log_path(self) -> Path:
        """The write-ahead log, which SQLite deletes when the file is closed in good order."""
        return log_of(self.path)

    @property
    def in_place(self) -> bool:
        """Whether the file is found under its name."""
        try:
            found = os.stat(self._name)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._place

    def watch(self) -> None:
        """Note the files that belong to the store; to be called when the first transaction has made them.

        Raises:
            OSError: one of the files is missing.
        """
        for path in (self.path, self.log_path, self.path.with_name(f"{self.path.name}-shm")):
            found = os.stat(path)
            self._places[str(path)] = (found.st_dev, found.st_ino)
        self._log = os.open(self.log_path, os.O_RDONLY | os.O_CLOEXEC)
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
            StoreFailed: a file was removed, moved, replaced or truncated.
            OSError: the file system does not answer.
        """
        for path, place in self._places.items():
            _check_place(path, place)
        self._check_file()
        self._check_log()

    def _check_file(self) -> None:
        """Check the place and the size of the file with the tables, 2 us."""
        if self._place is None:
            return
        size = _check_place(self._name, self._place)
        if size < self._least_bytes:
            self._check_size(size)
        self._least_bytes = size

    def _check_size(self, size: int) -> None:
        """Check that a file that has become smaller has all its pages: another program may have run VACUUM."""
        if size:  # of an empty file SQLite would delete the log
            # By another connection, because the pages of the present transaction are not in the file.
            with suppress(sqlite3.Error), closing(connect_reader(self.path)) as reader:
                (pages,) = reader.execute("PRAGMA page_count").fetchone()
                (page_bytes,) = reader.execute("PRAGMA page_size").fetchone()
                if size >= pages * page_bytes:
                    return
        raise damaged(self.path, f"it was truncated to {size} bytes while the gateway runs")

    def _check_log(self) -> None:
        """Check the size of the log, 1 us; outside of a transaction."""
        if self._log is None:
            return
        size = self._log_bytes(self._log)
        if size < self._least_log_bytes:
            # A program that makes backups may have copied and emptied it. If not, parts are missing, and this fails.
            try:
                copied = self.checkpoint()
            except sqlite3.Error as error:
                problem = f"{self.log_path} was truncated to {size} bytes while the gateway runs ({error})"
                raise damaged(self.path, problem) from error
            if not copied:
                raise StoreFailed(f"{self.log_path} became smaller while other programs read it: end them")
        self._least_log_bytes = size

    @staticmethod
    def _log_bytes(log: int) -> int:
        # Not by fstat: Linux (since 6.13) notes that a file's times were looked at, and has the next write give it new
        # ones, which the fsync behind it then writes as well: 40 us of 420 on ext4.
        return os.lseek(log, 0, os.SEEK_END)

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
        self._check_log()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            # Only the file with the tables. The log is still open if it is removed: after the next check of all files
            # it is copied into this one.
            self._check_file()
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
        if self._log is not None and self._log_bytes(self._log) >= OVERDUE_BYTES:
            self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def checkpoint(self) -> bool:
        """Copy the write-ahead log into the file and empty it; return whether all of it was copied.

        Raises:
            sqlite3.Error: the file cannot be written.
        """
        busy, _, _ = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            self._least_log_bytes = 0
        return not busy

    # After a failure.

    def wait_for_others(self, *, wait: bool) -> None:
        """Wait for other programs that write the file, or fail at once, as long as publishers are refused anyway."""
        self.connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000) if wait else 0}")

    def settle_log(self, *, all_of_it: bool) -> None:
        """Copy the write-ahead log into the file, which makes room on the disk, and check the files.

        Args:
            all_of_it: nothing may be left. A failed fsync may have lost pages of the log, and a later one does not
                report it again.

        Raises:
            sqlite3.Error: the log cannot be copied.
            StoreFailed: the file is not in its place, or a reader keeps the log from being copied.
        """
        if not self.checkpoint() and all_of_it:
            raise StoreFailed(f"store {self.path}: another program reads it and keeps its log from being copied")
        self.check_in_place()

    def prove(self, size: int) -> None:
        """Prove that the disk takes so many bytes: they are written and deleted again.

        Raises:
            sqlite3.Error: the disk does not take them.
            StoreFailed: the file is not in its place.
        """
        with self.transaction(Durability.FSYNC):
            insert = "INSERT OR REPLACE INTO chunks VALUES (?, 0, NULL, zeroblob(?))"
            self.connection.execute(insert, (PROBE_ID, size))
        with self.transaction(Durability.OS):
            self.connection.execute("DELETE FROM chunks WHERE large = ?", (PROBE_ID,))

    def close(self) -> None:
        """Close the file. SQLite deletes the write-ahead log if all of it is in the file."""
        if self._log is not None:
            os.close(self._log)
            self._log = None
        self.connection.close()


def _check_place(path: str, place: tuple[int, int]) -> int:
    """Check that a file is found under its name; return its size."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        problem = "was removed or moved while the gateway runs"
    else:
        if (found.st_dev, found.st_ino) == place:
            return found.st_size
        problem = "was replaced while the gateway runs"
    raise StoreFailed(f"{path} {problem}: put it back, or start the gateway again with the file it shall use")
