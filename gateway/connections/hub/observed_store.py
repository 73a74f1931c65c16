"""Past of observed streams: read from that of their parents."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.connections.ports import PastReader
from gateway.streams.history import EntriesRead, Entry
from gateway.streams.large import TransferNumbers
from gateway.streams.observed import ObservedStream
from gateway.streams.stream import Stream


class ObservedStore:
    """The :class:`~gateway.connections.ports.PastReader` that reads the past of observed streams as well.

    Args:
        store: reads the past of all other streams.
        transfers: numbers for large messages.
    """

    def __init__(self, store: PastReader, transfers: TransferNumbers) -> None:
        self._store = store
        self._transfers = transfers

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        """Read as :meth:`~gateway.connections.ports.PastReader.read` does."""
        if not isinstance(stream, ObservedStream):
            self._store.read(stream, first, last, max_bytes, done)
            return

        def found(entries: Sequence[Entry] | Exception) -> None:
            if isinstance(entries, Exception):
                done(entries)
            else:
                done([stream.shown(entry, self._transfers) for entry in entries])

        self._store.read(stream.parent, first, last, max_bytes, found)
