"""Who published messages of a stream, as a row of a store's tables keeps it (spec section 4.6).

Messages go with what is known of them, but for those of a state: it is stored as its newest version alone, and whoever
published one before that may not have been told.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.streams.run import Origin
from gateway.streams.stream import Stream

MAX_PAST: Final = 64
"""Ranges that the newest version of a state keeps of those before it: 2 KiB. With one publisher there is one."""

_ORIGIN: Final = struct.Struct("<QQQQ")


def pack(origins: Iterable[Origin]) -> bytes | None:
    """For the column ``origins``."""
    return b"".join([_ORIGIN.pack(*origin) for origin in origins]) or None


def unpack(packed: bytes) -> Iterator[Origin]:
    """What :func:`pack` was given; several of its results may stand one behind the other."""
    return map(Origin._make, _ORIGIN.iter_unpack(packed))


def read_origins(connection: sqlite3.Connection, stream: Stream, since: int = 0) -> Iterator[Origin]:
    """Who published what is held of a stream, and what of a state was held before; oldest first.

    Args:
        since: the first offset of which it has to be known; a row that holds it may begin before.
    """
    rows: Sequence[tuple[bytes]] = connection.execute(
        "SELECT origins FROM messages WHERE stream = ? AND first + count > ? AND origins IS NOT NULL ORDER BY first",
        (stream.id, since),
    ).fetchall()
    return unpack(b"".join([packed for (packed,) in rows]))


def continued(past: Sequence[Origin], origins: Iterable[Origin]) -> list[Origin]:
    """The past of a stream with what followed it: ranges that go on are one, and the last :data:`MAX_PAST` are kept."""
    joined = list(past)
    for origin in origins:
        if joined:
            first, count, producer, sequence = joined[-1]
            if (first + count, producer, sequence + count) == (origin.first, origin.producer, origin.sequence):
                joined[-1] = Origin(first, count + origin.count, producer, sequence)
                continue
        joined.append(origin)
    return joined[-MAX_PAST:]
