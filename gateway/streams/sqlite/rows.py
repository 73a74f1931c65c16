"""Rows: messages as rows of a store's tables, and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from gateway.protocol.encoding import parse_encoding
from gateway.protocol.extensions import Extensions, parse_extensions
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, StoredChunk, TransferNumbers
from gateway.streams.run import Origin, Run
from gateway.streams.run_page import PAGE_BYTES, RunPage, joins
from gateway.streams.sqlite.origins import pack
from gateway.streams.stream import Stream

_LAST_OFFSET: Final = 2**63 - 1

INSERT_MESSAGE: Final = (
    "INSERT INTO messages (stream, first, count, size, stored_ns, origins, last_at, last_count, frames, large) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_LARGE: Final = "INSERT INTO large_messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_CHUNK: Final = "INSERT INTO chunks VALUES (?, ?, ?, ?)"
_SELECT_MESSAGES: Final = (
    "SELECT first, count, size, last_at, last_count, frames, large FROM messages "
    "WHERE stream = ? AND first BETWEEN ? AND ? ORDER BY first"
)
_SELECT_LARGE: Final = (
    "SELECT publisher, timestamp_ns, end_timestamp_ns, flags, chunk_bytes, payload_bytes, checksum, meta, extensions "
    "FROM large_messages WHERE id = ?"
)


@dataclass(slots=True)
class MessageRow:
    """Row of the table ``messages``."""

    stream: Stream
    first: int
    count: int
    size: int
    origins: list[Origin]
    content: Entry

    @property
    def next_offset(self) -> int:
        """The offset behind its messages."""
        return self.first + self.count

    def values(self, stored_ns: int, large_id: int | None = None) -> tuple[object, ...]:
        """Return the values for :data:`INSERT_MESSAGE`.

        Args:
            stored_ns: Unix time.
            large_id: id of a large message in ``large_messages``.
        """
        head = (self.stream.id, self.first, self.count, self.size, stored_ns, pack(self.origins))
        run = self.content
        if isinstance(run, LargeMessage):
            return (*head, 0, 1, None, large_id)
        frames = run.joined()
        return (*head, run.last_at, run.last_count, frames, None)


def rows_of(entries: Iterable[tuple[Stream, Run, Origin | None]]) -> Iterator[MessageRow]:
    """Yield rows for runs in the order of their streams; small runs are joined, as a row of any size costs 10 us."""
    open_pages: dict[Stream, tuple[RunPage, list[Origin]]] = {}
    for stream, run, origin in entries:
        origins = [] if origin is None else [origin]
        if not joins(run):
            if stream in open_pages:
                yield _sealed(stream, *open_pages.pop(stream))
            yield MessageRow(stream, run.first, run.count, run.size, origins, run)
            continue
        page, known = open_pages.get(stream, (None, []))
        if page is None:
            open_pages[stream] = (RunPage(run), origins)
        else:
            page.add(run)
            known += origins
            if page.size >= PAGE_BYTES:
                yield _sealed(stream, *open_pages.pop(stream))
    for stream, (page, origins) in open_pages.items():
        yield _sealed(stream, page, origins)


def _sealed(stream: Stream, page: RunPage, origins: list[Origin]) -> MessageRow:
    return MessageRow(stream, page.first, page.count, page.size, origins, page.sealed())


def large_values(large_id: int, message: LargeMessage) -> tuple[object, ...]:
    """Return the values for :data:`INSERT_LARGE`."""
    plan = message.plan
    times = message.timestamp_ns, message.end_timestamp_ns
    told = replace(message.extensions or Extensions(), deadline_ns=message.deadline_ns)
    extensions = None if told == Extensions() else told.write()
    sizes = plan.chunk_bytes, plan.payload_bytes, message.checksum
    return (large_id, message.publisher, *times, message.flags, *sizes, message.meta, extensions)


def chunk_values(large_id: int, index: int, chunk: StoredChunk) -> tuple[int, int, bytes | None, Buffer]:
    """Return the values for :data:`INSERT_CHUNK`."""
    return large_id, index, None if chunk.encoding is None else chunk.encoding.write(), chunk.data


def read_entries(
    connection: sqlite3.Connection,
    stream: Stream,
    first: int,
    last: int,
    max_bytes: int,
    transfers: TransferNumbers,
) -> list[Entry]:
    """Return the messages ``first .. last`` of a stream, as :meth:`~gateway.streams.history.History.read` does.

    Args:
        connection: connection to the file.
        stream: the stream.
        first: first offset wanted.
        last: last offset wanted.
        max_bytes: reading stops before the entry that would exceed it.
        transfers: numbers for large messages.
    """
    row = connection.execute(
        "SELECT max(first) FROM messages WHERE stream = ? AND first <= ?", (stream.id, first)
    ).fetchone()
    start = first if row[0] is None else row[0]
    found: list[Entry] = []
    # Closed even if reading fails: an open cursor keeps the log from being copied for as long as the error is kept.
    with closing(connection.execute(_SELECT_MESSAGES, (stream.id, start, last))) as cursor:
        for row_first, count, size, last_at, last_count, frames, large in cursor:
            if row_first + count <= first:
                continue
            max_bytes -= size
            if found and max_bytes < 0:
                break
            if large is not None:
                found.append(_read_large(connection, stream, row_first, large, transfers))
            else:
                run = Run(stream, row_first, count, (frames,), size, last_at, last_count)
                found.append(run.part(first, last))
    return found


def read_newest(connection: sqlite3.Connection, stream: Stream, transfers: TransferNumbers) -> Entry | None:
    """Return the newest message of a stream, or the record batch that holds it; ``None`` if there is none."""
    (first,) = connection.execute("SELECT max(first) FROM messages WHERE stream = ?", (stream.id,)).fetchone()
    if first is None:
        return None
    [entry] = read_entries(connection, stream, first, _LAST_OFFSET, 0, transfers)
    return entry


def _read_large(
    connection: sqlite3.Connection, stream: Stream, offset: int, large: int, transfers: TransferNumbers
) -> LargeMessage:
    row = connection.execute(_SELECT_LARGE, (large,)).fetchone()
    publisher, timestamp_ns, end_timestamp_ns, flags, chunk_bytes, payload_bytes, checksum, meta, extensions = row
    plan = ChunkPlan(transfers.next(), chunk_bytes, payload_bytes)
    stored = Extensions() if extensions is None else parse_extensions(extensions)
    kept = replace(stored, deadline_ns=None)
    with closing(
        connection.execute("SELECT encoding, data FROM chunks WHERE large = ? ORDER BY chunk", (large,))
    ) as cursor:
        chunks = [
            StoredChunk(None if encoding is None else parse_encoding(encoding), data) for encoding, data in cursor
        ]
    return LargeMessage(
        stream,
        Opcode.MESSAGE,
        publisher,
        timestamp_ns,
        flags,
        meta,
        plan,
        offset=offset,
        end_timestamp_ns=end_timestamp_ns,
        checksum=checksum,
        chunks=chunks,
        extensions=None if kept == Extensions() else kept,
        deadline_ns=stored.deadline_ns,
    )
