"""Origins: producers and sequences of the messages of a stream, as rows of a store's tables (spec section 4.6).

Origins are deleted with their messages, except those of a state: only its newest version is stored, and the publisher
of one before it may not have received its acknowledgement.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.streams.run import Origin
from gateway.streams.stream import Stream

MAX_PAST: Final = 64
"""Origins of earlier versions that the newest version of a state keeps: 2 KiB. With one publisher there is one."""

_ORIGIN: Final = struct.Struct("<QQQQ")


def pack(origins: Iterable[Origin]) -> bytes | None:
    """Return origins as the column ``origins`` holds them."""
    return b"".join([_ORIGIN.pack(*origin) for origin in origins]) or None


def unpack(packed: bytes) -> Iterator[Origin]:
    """Return the origins that :func:`pack` was given; several of its results may be joined."""
    return map(Origin._make, _ORIGIN.iter_unpack(packed))


def read_origins(connection: sqlite3.Connection, stream: Stream, since: int = 0) -> Iterator[Origin]:
    """Return the origins of the stored messages of a stream, and of earlier versions of a state; oldest first.

    Args:
        connection: connection to the file.
        stream: the stream.
        since: the first offset whose origin is needed; the row that holds it may begin before.
    """
    rows: Sequence[tuple[bytes]] = connection.execute(
        "SELECT origins FROM messages WHERE stream = ? AND first + count > ? AND origins IS NOT NULL ORDER BY first",
        (stream.id, since),
    ).fetchall()
    return unpack(b"".join([packed for (packed,) in rows]))


def continued(past: Sequence[Origin], origins: Iterable[Origin]) -> list[Origin]:
    """Return past and new origins, with consecutive ones joined; the last :data:`MAX_PAST` are kept."""
    joined = list(past)
    for origin in origins:
        if joined:
            first, count, producer, sequence = joined[-1]
            if (first + count, producer, sequence + count) == (origin.first, origin.producer, origin.sequence):
                joined[-1] = Origin(first, count + origin.count, producer, sequence)
                continue
        joined.append(origin)
    return joined[-MAX_PAST:]
