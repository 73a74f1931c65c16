"""Database: writes groups of changes to a store's file, one transaction each, and deletes messages that are too old."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import StoreFailed
from gateway.ids import ClientId, Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.schema import Schema
from gateway.streams.history import HistoryLimits
from gateway.streams.large import LargeMessage
from gateway.streams.run import Origin, Run
from gateway.streams.span import offsets_of
from gateway.streams.sqlite.changes import Advance, Append, Change, Discard, StageChunk, rows_for
from gateway.streams.sqlite.consumer_marks import ConsumerMarks
from gateway.streams.sqlite.file_format import connect
from gateway.streams.sqlite.origins import continued, read_origins
from gateway.streams.sqlite.rows import (
    INSERT_CHUNK,
    INSERT_LARGE,
    INSERT_MESSAGE,
    MessageRow,
    chunk_values,
    large_values,
)
from gateway.streams.stream import Stream

TRIM_ROWS: Final = 128
"""Rows that are deleted at a time: more than one transaction adds, and deleted in milliseconds."""

CHECKPOINT_PAGES: Final = 4096
"""Size of the write-ahead log, 16 MiB, at which it is copied into the file."""


class StoredStream(NamedTuple):
    """Stream as the file has it."""

    id: StreamId
    name: StreamName
    kind: Kind
    durability: Durability
    epoch: Epoch
    first_offset: int
    next_offset: int
    schema: Schema | None


@dataclass(slots=True, eq=False)
class _Extent:
    """Extent of the stored messages of a stream."""

    first: int
    next_offset: int
    held_bytes: int


class Database:
    """Connection that writes. Used by one thread at a time; blocks for as long as the disk takes.

    Args:
        path: the file; created if it does not exist.
        boot_id: identifies a start of the machine.
        now_ns: Unix time; streams that may have lost messages get a new epoch from it.

    Attributes:
        streams: the streams in the file when it was opened.

    Raises:
        StoreFailed: the file cannot be used.
    """

    def __init__(self, path: Path, boot_id: str, now_ns: int) -> None:
        self._path = path
        self._connection = connect(path)
        self._synchronous = ""
        self._extents: dict[int, _Extent] = {}
        self._large: dict[LargeMessage, int] = {}
        """Ids of large messages whose chunks are being stored."""
        self._schemas: dict[int, Schema | None] = {}
        self._broken: set[LargeMessage] = set()
        """Large messages with a chunk that could not be stored."""
        self._consumers: ConsumerMarks
        self._advances: dict[tuple[int, ClientId], Advance] = {}
        """Progress of clients that is not stored yet."""
        self._pasts: dict[int, list[Origin]] = {}
        """Origins of the newest message and earlier ones, of streams that keep their newest message only."""
        self._deletable: list[int] = []
        """Ids of large messages with chunks that are still to be deleted."""
        self.streams: list[StoredStream] = []
        try:
            self._connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            self._take_over(boot_id, now_ns)
            self._load()
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreFailed(f"store {path} cannot be used: {error}; restore a copy, or name another file") from error

    # Opening.

    def _take_over(self, boot_id: str, now_ns: int) -> None:
        with self._transaction(Durability.FSYNC):
            row = self._connection.execute("SELECT boot_id, closed FROM gateway").fetchone()
            if row is None:
                self._connection.execute("INSERT INTO gateway VALUES (?, 0)", (boot_id,))
                return
            if not row[1] and row[0] != boot_id:
                # The machine went down with the gateway: messages that had reached only the operating system may be
                # missing, so that offsets are given out a second time.
                epoch = now_ns // 1_000_000
                self._connection.execute("UPDATE streams SET epoch = ? WHERE durability = ?", (epoch, Durability.OS))
            self._connection.execute("UPDATE gateway SET boot_id = ?, closed = 0", (boot_id,))

    def _load(self) -> None:
        connection = self._connection
        sizes = {
            stream: (first, held_bytes)
            for stream, first, held_bytes in connection.execute(
                "SELECT stream, min(first), sum(size) FROM messages GROUP BY stream"
            )
        }
        rows = connection.execute(
            "SELECT id, name, kind, durability, epoch, max(next_offset, coalesce((SELECT first + count FROM messages "
            "WHERE stream = id ORDER BY first DESC LIMIT 1), 0)), schema FROM streams ORDER BY id"
        )
        for stream, name, kind, durability, epoch, next_offset, text in rows:
            first, held_bytes = sizes.get(stream, (next_offset, 0))
            self._extents[stream] = _Extent(first, next_offset, held_bytes)
            schema = self._schemas[stream] = None if text is None else Schema.parse(json.loads(text))
            self.streams.append(
                StoredStream(stream, name, Kind(kind), Durability(durability), epoch, first, next_offset, schema)
            )
        self._next_large = 1 + max(
            connection.execute("SELECT coalesce(max(id), 0) FROM large_messages").fetchone()[0],
            connection.execute("SELECT coalesce(max(large), 0) FROM chunks").fetchone()[0],
        )
        self._consumers = ConsumerMarks(connection)
        # Chunks of large messages that were never completed, or not deleted before the gateway stopped.
        left = "SELECT DISTINCT large FROM chunks WHERE large NOT IN (SELECT large FROM messages WHERE large NOT NULL)"
        self._deletable = [large for (large,) in connection.execute(left)]

    # Writing.

    def advance(self, advances: Iterable[Advance]) -> None:
        """Note the progress of clients; it is stored with the next transaction that succeeds."""
        for advance in advances:
            self._advances[advance.stream.id, advance.client_id] = advance

    def commit(self, changes: Sequence[Change], now_ns: int) -> list[Exception | None]:
        """Make the changes in one transaction.

        Messages whose predecessors in the stream could not be stored are left out.

        Args:
            changes: the changes, in order.
            now_ns: Unix time.

        Returns:
            for each change its error, or ``None``: it is as safe as the durability of its stream says.
        """
        outcomes: list[Exception | None] = [None] * len(changes)
        ends: dict[int, int] = {}
        appends: list[Append] = []
        for index, change in enumerate(changes):
            if isinstance(change, Append):
                outcomes[index] = self._misplaced(change, ends)
                if outcomes[index] is None:
                    appends.append(change)
        level = max((append.stream.durability.level for append in appends), default=Durability.OS.level)
        rows = self._with_pasts(rows_for(appends))
        gone: list[int] = []
        known = self._extents.keys() | {append.stream.id for append in appends}
        # A stream without a message is not in the file yet, and no client can be behind in it.
        advances = [advance for advance in self._advances.values() if advance.stream.id in known]
        try:
            with self._transaction(Durability.of_level(level)):
                self._write(changes, appends, rows, now_ns, gone)
                self._consumers.write(advances)
        except sqlite3.Error as error:
            failure = StoreFailed(f"store {self._path} cannot be written: {error}")
            self._broken.update([change.message for change in changes if isinstance(change, StageChunk)])
            outcomes = [outcome or failure for outcome in outcomes]
        else:
            self._count(rows)
            self._deletable += gone
            self._consumers.settle(advances)
            for advance in advances:
                del self._advances[advance.stream.id, advance.client_id]
        self._forget_large(changes, outcomes)
        return outcomes

    def _with_pasts(self, rows: list[MessageRow]) -> list[MessageRow]:
        for row in rows:
            if row.stream.keeps_newest_only:
                past = self._pasts.get(row.stream.id)
                if past is None:
                    past = list(read_origins(self._connection, row.stream))
                row.origins = continued(past, row.origins)
        return rows

    def _forget_large(self, changes: Sequence[Change], outcomes: Sequence[Exception | None]) -> None:
        """Forget large messages that are stored, or will not be."""
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(change, Append) and isinstance(change.entry, LargeMessage):
                message = change.entry
            elif isinstance(change, Discard):
                message = change.message
            else:
                continue
            large_id = self._large.pop(message, None)
            self._broken.discard(message)
            if large_id is not None and (outcome is not None or isinstance(change, Discard)):
                self._deletable.append(large_id)

    def _misplaced(self, append: Append, ends: dict[int, int]) -> Exception | None:
        first, last = offsets_of(append.entry)
        extent = self._extents.get(append.stream.id)
        expected = ends.get(append.stream.id, 0 if extent is None else extent.next_offset)
        if first != expected:
            problem = f"message {first} of {append.stream.name} follows one that could not be stored"
            return StoreFailed(f"{problem}: {expected} is the next")
        if append.entry in self._broken:
            return StoreFailed(f"chunks of message {first} of {append.stream.name} could not be stored")
        ends[append.stream.id] = last + 1
        return None

    def _write(
        self, changes: Sequence[Change], appends: list[Append], rows: list[MessageRow], now_ns: int, gone: list[int]
    ) -> None:
        connection = self._connection
        new = {append.stream.id: append.stream for append in appends if append.stream.id not in self._extents}
        connection.executemany(
            "INSERT INTO streams VALUES (?, ?, ?, ?, ?, 0, NULL)",
            [(stream.id, stream.name, stream.kind, stream.durability, stream.epoch) for stream in new.values()],
        )
        declared = [row.stream for row in rows if row.stream.schema is not self._schemas.get(row.stream.id)]
        connection.executemany(
            "UPDATE streams SET schema = ? WHERE id = ?",
            [(json.dumps(stream.declared), stream.id) for stream in declared],
        )
        staged = [change for change in changes if isinstance(change, StageChunk)]
        connection.executemany(
            INSERT_CHUNK,
            [
                chunk_values(self._large_id(change.message), change.index, change.message.chunks[change.index])
                for change in staged
            ],
        )
        for row in rows:
            if row.stream.keeps_newest_only:
                gone += self._delete(row.stream.id, row.first)
            if isinstance(row.content, LargeMessage):
                large_id = self._stored_large(row.content)
                connection.execute(INSERT_LARGE, large_values(large_id, row.content))
                connection.execute(INSERT_MESSAGE, row.values(now_ns, large_id))
        connection.executemany(INSERT_MESSAGE, [row.values(now_ns) for row in rows if isinstance(row.content, Run)])

    def _stored_large(self, message: LargeMessage) -> int:
        """Return the id of a large message whose chunks are stored; those of a keyframe of a patch are stored now."""
        staged = self._large.get(message)
        if staged is not None:
            return staged
        large_id: int = self._next_large
        self._next_large += 1
        self._connection.executemany(
            INSERT_CHUNK, [chunk_values(large_id, index, chunk) for index, chunk in enumerate(message.chunks)]
        )
        return large_id

    def _large_id(self, message: LargeMessage) -> int:
        large_id = self._large.get(message)
        if large_id is None:
            large_id = self._large[message] = self._next_large
            self._next_large += 1
        return large_id

    def _count(self, rows: list[MessageRow]) -> None:
        for row in rows:
            extent = self._extents.setdefault(row.stream.id, _Extent(row.first, row.first, 0))
            if row.stream.keeps_newest_only:
                extent.first, extent.held_bytes = row.first, 0
                self._pasts[row.stream.id] = row.origins
            self._schemas[row.stream.id] = row.stream.schema
            extent.next_offset = row.next_offset
            extent.held_bytes += row.size

    # Deleting.

    def trim(self, stream: Stream, limits: HistoryLimits, now_ns: int) -> int:
        """Delete the oldest rows of a stream that exceed a limit, at most :data:`TRIM_ROWS`; return their number.

        Messages that a consumer has not settled stay.

        Args:
            stream: the stream.
            limits: bounds on its past.
            now_ns: Unix time.

        Raises:
            StoreFailed: the file cannot be written.
        """
        extent = self._extents.get(stream.id)
        if extent is None:
            return 0
        oldest_ns = now_ns - int(limits.max_age_s * 1e9)
        rows = self._connection.execute(
            "SELECT first, count, size, stored_ns FROM messages WHERE stream = ? ORDER BY first LIMIT ?",
            (stream.id, TRIM_ROWS),
        ).fetchall()
        open_from = self._consumers.first_open(stream)
        cut, held_bytes, rows_gone = extent.first, extent.held_bytes, 0
        for first, count, size, stored_ns in rows:
            covered = extent.next_offset - first - count < limits.max_messages and held_bytes <= limits.max_bytes
            # The newest message stays whatever its size and age: its publisher was told that it is stored.
            if first + count == extent.next_offset or (covered and stored_ns >= oldest_ns):
                break
            if open_from is not None and first + count > open_from:
                break
            cut, held_bytes, rows_gone = first + count, held_bytes - size, rows_gone + 1
        if not rows_gone:
            return 0
        try:
            with self._transaction(Durability.OS):
                gone = self._delete(stream.id, cut)
                self._connection.execute(
                    "UPDATE streams SET next_offset = ? WHERE id = ?", (extent.next_offset, stream.id)
                )
        except sqlite3.Error as error:
            raise StoreFailed(f"store {self._path} cannot be written: {error}") from error
        extent.first, extent.held_bytes = cut, held_bytes
        self._deletable += gone
        return rows_gone

    def sweep(self) -> bool:
        """Delete some chunks of large messages that cannot be read any more; return whether there may be more.

        Raises:
            StoreFailed: the file cannot be written.
        """
        if not self._deletable:
            return False
        large_id = self._deletable[-1]
        try:
            with self._transaction(Durability.OS):
                found = self._connection.execute(
                    "DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE large = ? LIMIT ?)",
                    (large_id, TRIM_ROWS),
                ).rowcount
        except sqlite3.Error as error:
            raise StoreFailed(f"store {self._path} cannot be written: {error}") from error
        if not found:
            self._deletable.pop()
        return bool(self._deletable)

    def first_of(self, stream: Stream) -> int:
        """Return the first stored offset of a stream; the next one if there is none."""
        extent = self._extents.get(stream.id)
        return 0 if extent is None else extent.first

    def _delete(self, stream_id: int, before: int) -> list[int]:
        """Delete the rows of a stream before an offset; return the ids of large messages whose chunks are left."""
        where = "FROM messages WHERE stream = ? AND first < ?"
        large = self._connection.execute(f"SELECT large {where} AND large NOT NULL", (stream_id, before)).fetchall()
        if large:
            self._connection.executemany("DELETE FROM large_messages WHERE id = ?", large)
        self._connection.execute(f"DELETE {where}", (stream_id, before))
        return [large_id for (large_id,) in large]

    # The file.

    def close(self) -> None:
        """Write everything to the disk and close the file, which may then be copied."""
        with self._transaction(Durability.FSYNC):
            self._connection.execute("UPDATE gateway SET closed = 1")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()

    @contextmanager
    def _transaction(self, durability: Durability) -> Iterator[None]:
        connection = self._connection
        # With NORMAL a commit has reached the operating system when it returns, with FULL the disk.
        synchronous = "FULL" if durability is Durability.FSYNC else "NORMAL"
        if synchronous != self._synchronous:
            connection.execute(f"PRAGMA synchronous={synchronous}")
            self._synchronous = synchronous
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
