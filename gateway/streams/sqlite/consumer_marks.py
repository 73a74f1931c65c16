"""Consumer marks: consumers of streams and their progress, as rows of a store's tables."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from gateway.ids import ClientId
from gateway.protocol.extensions import Identity
from gateway.streams.history import Entry
from gateway.streams.large import TransferNumbers
from gateway.streams.progress import Mark
from gateway.streams.run import Origin, Run
from gateway.streams.span import offsets_of
from gateway.streams.sqlite.changes import Advance
from gateway.streams.sqlite.origins import read_origins
from gateway.streams.sqlite.rows import read_entries
from gateway.streams.stream import Stream

UNITS_READ_BYTES: Final = 4 * 1024 * 1024
"""Bytes of unsettled messages that are read at a time."""

_RANGE: Final = struct.Struct("<QQ")
_PUT: Final = "INSERT OR REPLACE INTO consumers VALUES (?, ?, ?, ?)"
_REMOVE: Final = "DELETE FROM consumers WHERE stream = ? AND client_id = ?"


class ConsumerMarks:
    """Writer of marks. Its caller calls :meth:`settle` when the transaction of a :meth:`write` has succeeded.

    Args:
        connection: connection to the file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._open: dict[int, dict[ClientId, int]] = {}
        """First offset that is not settled, by stream and client."""
        for stream, client_id, next_offset in connection.execute(
            "SELECT stream, client_id, next_offset FROM consumers"
        ):
            self._open.setdefault(stream, {})[client_id] = next_offset

    def write(self, advances: Sequence[Advance]) -> None:
        """Write the progress of clients."""
        gone = [(advance.stream.id, advance.client_id) for advance in advances if advance.mark is None]
        known = [
            (advance.stream.id, advance.client_id, advance.mark.next_offset, _packed(advance.mark))
            for advance in advances
            if advance.mark is not None
        ]
        self._connection.executemany(_REMOVE, gone)
        self._connection.executemany(_PUT, known)

    def settle(self, advances: Iterable[Advance]) -> None:
        """Note that marks that were written are stored."""
        for stream, client_id, mark in advances:
            if mark is not None:
                self._open.setdefault(stream.id, {})[client_id] = mark.next_offset
            elif stream.id in self._open:
                self._open[stream.id].pop(client_id, None)

    def delete(self, stream_ids: Collection[int]) -> None:
        """Delete the progress of all clients in streams that have ended."""
        self._connection.executemany(
            "DELETE FROM consumers WHERE stream = ?", [(stream_id,) for stream_id in stream_ids]
        )

    def forget(self, stream_ids: Iterable[int]) -> None:
        """Note that these are deleted."""
        for stream_id in stream_ids:
            self._open.pop(stream_id, None)

    def first_open(self, stream: Stream) -> int | None:
        """Return the first offset of a stream that a client has not settled; ``None``: the stream has no consumers."""
        return min(self._open.get(stream.id, {}).values(), default=None)


def read_marks(connection: sqlite3.Connection, stream: Stream) -> dict[ClientId, Mark]:
    """Return the progress of each client in a stream."""
    rows = connection.execute("SELECT client_id, next_offset, beyond FROM consumers WHERE stream = ?", (stream.id,))
    end = stream.next_offset
    return {
        # A message that was lost with the machine is settled for no client: another one will get its offset.
        client_id: Mark(min(next_offset, end), tuple(one for one in _RANGE.iter_unpack(beyond) if one[1] < end))
        for client_id, next_offset, beyond in rows
    }


def read_units(
    connection: sqlite3.Connection, stream: Stream, first: int, transfers: TransferNumbers
) -> Iterator[Entry]:
    """Yield the messages of a stream from ``first`` on, one frame each, with the identity that their publisher gave.

    Args:
        connection: connection to the file.
        stream: the stream.
        first: offset of the first message.
        transfers: numbers for large messages.
    """
    if first >= stream.next_offset:
        return
    origins = _OriginFinder(read_origins(connection, stream, first))
    while first < stream.next_offset:
        entries = read_entries(connection, stream, first, stream.next_offset - 1, UNITS_READ_BYTES, transfers)
        if not entries:
            return
        for entry in entries:
            if isinstance(entry, Run):
                for single in entry.frames():
                    single.identity = origins.identity_of(single.first)
                    yield single
            else:
                yield entry
        first = offsets_of(entries[-1])[1] + 1


class _OriginFinder:
    """Search for the producers of messages, in the order of their offsets."""

    def __init__(self, origins: Iterator[Origin]) -> None:
        self._origins = origins
        self._at: Origin | None = next(origins, None)

    def identity_of(self, offset: int) -> Identity | None:
        """Return the identity of the message at an offset, which must not be below the one before."""
        while self._at is not None and self._at.first + self._at.count <= offset:
            self._at = next(self._origins, None)
        if self._at is None or offset < self._at.first:
            return None
        return Identity(self._at.producer, self._at.sequence + offset - self._at.first)


def _packed(mark: Mark) -> bytes:
    return b"".join([_RANGE.pack(*settled) for settled in mark.beyond])
