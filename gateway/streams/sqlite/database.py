"""Database: writes groups of changes to a store's file, one transaction each, and deletes messages that are too old."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from gateway.errors import StoreFailed
from gateway.ids import ClientId
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.streams.history import HistoryLimits
from gateway.streams.large import LargeMessage
from gateway.streams.run import Origin, Run
from gateway.streams.span import offsets_of
from gateway.streams.sqlite.changes import Advance, Append, Change, Discard, Forget, StageChunk, rows_for
from gateway.streams.sqlite.closing import close_file
from gateway.streams.sqlite.consumer_marks import ConsumerMarks
from gateway.streams.sqlite.contents import OldRow, StoredExtent, read_contents, take_over
from gateway.streams.sqlite.database_file import CHECKPOINT_PAGES, DatabaseFile
from gateway.streams.sqlite.ended_streams import EndedStreams, read_last_ended
from gateway.streams.sqlite.failure import cannot_open, failure_of
from gateway.streams.sqlite.origins import continued, read_origins
from gateway.streams.sqlite.rows import (
    INSERT_CHUNK,
    INSERT_LARGE,
    INSERT_MESSAGE,
    MessageRow,
    chunk_values,
    large_values,
)
from gateway.streams.sqlite.store_clock import Machine, StoreClock
from gateway.streams.stream import Stream

TRIM_ROWS: Final = 128
"""Rows that are deleted at a time: more than one transaction adds, and deleted in milliseconds."""


class Database:
    """Connection that writes. Used by one thread at a time; blocks for as long as the disk takes.

    Args:
        path: the file; created if it does not exist.
        machine: identifies its last start, and has the clocks; streams that may have lost messages with it get a new
            epoch.

    Attributes:
        file: the open file.
        clock: the time at which messages are stored.
        streams: the streams in the file when it was opened.
        last_ended: numbers of streams that had ended by then.
        error: failure of the last :meth:`commit`; ``None``: it succeeded.

    Raises:
        StoreFailed: the file cannot be used.
    """

    def __init__(self, path: Path, machine: Machine) -> None:
        self.file = DatabaseFile(path)
        self._connection = self.file.connection
        self._large: dict[LargeMessage, int] = {}
        """Ids of large messages whose chunks are being stored."""
        self._broken: set[LargeMessage] = set()
        """Large messages with a chunk that could not be stored."""
        self._advances: dict[tuple[int, ClientId], Advance] = {}
        """Progress of clients that is not stored yet."""
        self._pasts: dict[int, list[Origin]] = {}
        """Origins of the newest message and earlier ones, of streams that keep their newest message only."""
        self.error: Exception | None = None
        try:
            self._connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            with self.file.transaction(Durability.FSYNC):
                take_over(self._connection, machine.boot_id, machine.unix_ns())
                self.clock = StoreClock(self._connection, machine)
            self.file.watch()
            contents = read_contents(self._connection)
            self._consumers = ConsumerMarks(self._connection)
            self.last_ended = read_last_ended(self._connection)
        except Exception as error:
            self.file.close()
            # A damaged row raises errors of any kind.
            raise cannot_open(path, error) from error
        self.streams = contents.streams
        self._extents = contents.extents
        self._schemas = contents.schemas
        self._next_large = contents.next_large
        self._deletable = contents.unreachable
        """Ids of large messages with chunks that are still to be deleted."""
        self._ended = EndedStreams(self._connection, contents.ended)

    # Writing.

    def advance(self, advances: Iterable[Advance]) -> None:
        """Note the progress of clients; it is stored with the next transaction that succeeds."""
        for advance in advances:
            self._advances[advance.stream.id, advance.client_id] = advance

    def commit(self, changes: Sequence[Change], now_ns: int) -> list[Exception | None]:
        """Make the changes in one transaction.

        Messages whose predecessors in the stream could not be stored are left out, and so are those of streams that
        have ended.

        Args:
            changes: the changes, in order.
            now_ns: time by the store's clock.

        Returns:
            for each change its error, or ``None``: it is as safe as the durability of its stream says.
        """
        self._note_ended(changes)
        outcomes: list[Exception | None] = [None] * len(changes)
        ends: dict[int, int] = {}
        appends: list[Append] = []
        for index, change in enumerate(changes):
            if isinstance(change, Append):
                outcomes[index] = self._misplaced(change, ends)
                if outcomes[index] is None:
                    appends.append(change)
        self.error = None
        try:
            self._store(changes, appends, now_ns)
        except Exception as error:  # noqa: BLE001 - whatever it is, chunks that are not stored have to be known
            self.error = error
            failure = failure_of(self.file.path, error).error
            return self.refuse(changes, [outcome or failure for outcome in outcomes])
        self._forget_large(changes, outcomes)
        return outcomes

    def refuse(self, changes: Sequence[Change], outcomes: list[Exception | None]) -> list[Exception | None]:
        """Note that changes are not stored; ``outcomes`` are returned."""
        self._note_ended(changes)
        self._broken.update([change.message for change in changes if isinstance(change, StageChunk)])
        self._forget_large(changes, outcomes)
        return outcomes

    def _note_ended(self, changes: Sequence[Change]) -> None:
        """Note the streams that have ended: they are deleted by the next transaction that succeeds."""
        ended = self._ended.note(changes)
        if ended:
            self._advances = {key: advance for key, advance in self._advances.items() if key[0] not in ended}

    def _store(self, changes: Sequence[Change], appends: list[Append], now_ns: int) -> None:
        levels = [change.stream.durability.level for change in changes if isinstance(change, Append | Forget)]
        level = max(levels, default=Durability.OS.level)
        rows = self._with_pasts(rows_for(appends))
        gone: list[int] = []
        ended: list[int] = []
        advances: list[Advance] = []
        if self._advances:
            known = self._extents.keys() | {append.stream.id for append in appends}
            # A stream without a message is not in the file yet, and no client can be behind in it.
            advances = [advance for advance in self._advances.values() if advance.stream.id in known]
        with self.file.transaction(Durability.of_level(level)):
            if self._ended:
                # First: a stream of the same name may be new.
                ended = self._delete_ended()
            self._write(changes, appends, rows, now_ns, gone)
            if advances:
                self._consumers.write(advances)
        self._forget_ended(ended)
        self._count(rows)
        self._deletable += gone
        self._consumers.settle(advances)
        for advance in advances:
            del self._advances[advance.stream.id, advance.client_id]

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
        if append.stream.id in self._ended:
            return StoreFailed(f"message {first} of {append.stream.name} is not stored: the stream has ended")
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
        # Most transactions have rows only. Each statement is left out if it has nothing to write, 1 to 3 us.
        if new:
            connection.executemany(
                "INSERT INTO streams VALUES (?, ?, ?, ?, ?, 0, NULL)",
                [(stream.id, stream.name, stream.kind, stream.durability, stream.epoch) for stream in new.values()],
            )
        declared = [row.stream for row in rows if row.stream.schema is not self._schemas.get(row.stream.id)]
        if declared:
            connection.executemany(
                "UPDATE streams SET schema = ? WHERE id = ?",
                [(json.dumps(stream.declared), stream.id) for stream in declared],
            )
        chunks = [
            chunk_values(self._large_id(change.message), change.index, change.message.chunks[change.index])
            for change in changes
            if isinstance(change, StageChunk)
        ]
        if chunks:
            connection.executemany(INSERT_CHUNK, chunks)
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
            extent = self._extents.setdefault(row.stream.id, StoredExtent(row.first, row.first, 0))
            if row.stream.keeps_newest_only:
                extent.first, extent.held_bytes, extent.oldest = row.first, 0, None
                self._pasts[row.stream.id] = row.origins
            self._schemas[row.stream.id] = row.stream.schema
            extent.next_offset = row.next_offset
            extent.held_bytes += row.size

    # Deleting.

    def trim(self, stream: Stream, limits: HistoryLimits, now_ns: int, *, in_haste: bool = False) -> int:
        """Delete the oldest rows of a stream that exceed a limit, at most :data:`TRIM_ROWS`; return their number.

        Messages that a consumer has not settled stay.

        Args:
            stream: the stream.
            limits: bounds on its past.
            now_ns: time by the store's clock.
            in_haste: read nothing if the oldest row is known to stay. Reading finds pages that went bad, and takes
                70 us, for which the next commit waits.

        Raises:
            sqlite3.Error: the file cannot be read or written.
            StoreFailed: the file is not in its place.
        """
        extent = self._extents.get(stream.id)
        if extent is None:
            return 0
        open_from = self._consumers.first_open(stream)

        def stays(row: OldRow, held_bytes: int) -> bool:
            first, count, _, stored_ns = row
            covered = extent.next_offset - first - count < limits.max_messages and held_bytes <= limits.max_bytes
            fresh = now_ns - stored_ns <= limits.max_age_s * 1e9  # not as an int: a rule may say 1e300
            # The newest message stays whatever its size, as long as a connection has opened the stream or it is fresh:
            # its publisher was told that it is stored.
            if first + count == extent.next_offset:
                covered = fresh or stream.aliases > 0 or stream.kind is Kind.STATE
                fresh = True
            return (covered and fresh) or (open_from is not None and first + count > open_from)

        if in_haste and extent.oldest is not None and stays(extent.oldest, extent.held_bytes):
            return 0
        rows: list[OldRow] = self._connection.execute(
            "SELECT first, count, size, stored_ns FROM messages WHERE stream = ? ORDER BY first LIMIT ?",
            (stream.id, TRIM_ROWS),
        ).fetchall()
        cut, held_bytes, rows_gone, oldest = extent.first, extent.held_bytes, 0, None
        for row in rows:
            if stays(row, held_bytes):
                oldest = row
                break
            first, count, size, _ = row
            cut, held_bytes, rows_gone = first + count, held_bytes - size, rows_gone + 1
        if not rows_gone:
            extent.oldest = oldest
            return 0
        with self.file.transaction(Durability.OS):
            gone = self._delete(stream.id, cut)
            self._connection.execute("UPDATE streams SET next_offset = ? WHERE id = ?", (extent.next_offset, stream.id))
        extent.first, extent.held_bytes, extent.oldest = cut, held_bytes, oldest
        self._deletable += gone
        return rows_gone

    def sweep(self) -> bool:
        """Delete some messages of ended streams, or chunks that no message refers to; return whether there may be more.

        Raises:
            sqlite3.Error: the file cannot be written.
            StoreFailed: the file is not in its place.
        """
        cut = self._ended.next_cut()
        if cut is not None:
            with self.file.transaction(Durability.OS):
                gone = self._delete(*cut)
            self._deletable += gone
            return True
        if not self._deletable:
            return False
        large_id = self._deletable[-1]
        with self.file.transaction(Durability.OS):
            found = self._connection.execute(
                "DELETE FROM chunks WHERE rowid IN (SELECT rowid FROM chunks WHERE large = ? LIMIT ?)",
                (large_id, TRIM_ROWS),
            ).rowcount
        if not found:
            self._deletable.pop()
        return bool(self._deletable)

    def _delete_ended(self) -> list[int]:
        """Delete the streams that have ended, and return their ids; their messages are left for :meth:`sweep`."""
        ended = self._ended.delete()
        self._consumers.delete(ended)
        return ended

    def _forget_ended(self, ended: list[int]) -> None:
        """Forget the streams that are deleted."""
        if ended:
            for known in (self._extents, self._schemas, self._pasts):
                for stream_id in ended:
                    known.pop(stream_id, None)
            self._consumers.forget(ended)
            self._ended.settle()

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

    def close(self, damage: StoreFailed | None = None) -> None:
        """Write everything to the disk and close the file, which may then be copied.

        Args:
            damage: the file is damaged, and not written any more.

        Raises:
            StoreFailed: the file is closed, but something is missing in it; the message says which files belong
                together.
        """
        advances = [advance for advance in self._advances.values() if advance.stream.id in self._extents]

        def write_rest() -> None:
            self._consumers.write(advances)
            self._delete_ended()
            self.clock.stamp(self._connection)
            self._connection.execute("UPDATE gateway SET closed = 1")

        close_file(self.file, write_rest, "the progress of consumers" if advances else "the note of the close", damage)
