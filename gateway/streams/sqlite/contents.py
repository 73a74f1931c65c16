"""Contents: the streams of a store's file as they were when it was opened."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.schema import Schema


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


OldRow = tuple[int, int, int, int]
"""First offset of a row of messages, their number, their bytes, and the store's time when they were stored."""


@dataclass(slots=True, eq=False)
class StoredExtent:
    """Extent of the stored messages of a stream."""

    first: int
    next_offset: int
    held_bytes: int
    oldest: OldRow | None = None
    """The first row; ``None``: not known."""


@dataclass(slots=True, eq=False)
class Contents:
    """Streams and ids in a file."""

    streams: list[StoredStream]
    extents: dict[int, StoredExtent]
    """Extents by the id of the stream."""
    schemas: dict[int, Schema | None]
    """Schemas by the id of the stream."""
    next_large: int
    """Id for the next large message."""
    unreachable: list[int]
    """Ids of large messages that were never completed, or whose chunks were not all deleted."""
    ended: list[int]
    """Ids of streams that have ended, and whose messages were not all deleted."""


def take_over(connection: sqlite3.Connection, boot_id: str, unix_ns: int) -> None:
    """Note that a gateway uses the file; streams that may have lost messages with the machine get a new epoch.

    Args:
        connection: connection to the file, in a transaction.
        boot_id: identifies a start of the machine.
        unix_ns: Unix time.
    """
    row = connection.execute("SELECT boot_id, closed FROM gateway").fetchone()
    if row is None:
        connection.execute("INSERT INTO gateway VALUES (?, 0)", (boot_id,))
        return
    if not row[1] and row[0] != boot_id:
        # The machine went down with the gateway: messages that had reached only the operating system may be
        # missing, so that offsets are given out a second time.
        # After the one before, even if the machine's clock was set back.
        epoch = unix_ns // 1_000_000
        connection.execute("UPDATE streams SET epoch = max(?, epoch + 1) WHERE durability = ?", (epoch, Durability.OS))
    connection.execute("UPDATE gateway SET boot_id = ?, closed = 0", (boot_id,))


def read_contents(connection: sqlite3.Connection) -> Contents:
    """Return the contents of a file."""
    extents: dict[int, StoredExtent] = {}
    schemas: dict[int, Schema | None] = {}
    streams: list[StoredStream] = []
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
        extents[stream] = StoredExtent(first, next_offset, held_bytes)
        schema = schemas[stream] = None if text is None else Schema.parse(json.loads(text))
        streams.append(
            StoredStream(stream, name, Kind(kind), Durability(durability), epoch, first, next_offset, schema)
        )
    next_large = 1 + max(
        connection.execute("SELECT coalesce(max(id), 0) FROM large_messages").fetchone()[0],
        connection.execute("SELECT coalesce(max(large), 0) FROM chunks").fetchone()[0],
        0,
    )
    ended = list(sizes.keys() - extents.keys())
    left = "SELECT DISTINCT large FROM chunks WHERE large NOT IN (SELECT large FROM messages WHERE large NOT NULL)"
    unreachable = [large for (large,) in connection.execute(left)]
    return Contents(streams, extents, schemas, next_large, unreachable, ended)
