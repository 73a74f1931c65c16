"""Chunk collector: a large message for consumers, who get it when it is complete, since it may be delivered again."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gateway.connections.outbound.reading_holds import ReadingHolds
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, StoredChunk


class Deliverer(Protocol):
    """Fan-out that delivers complete messages."""

    def deliver(self, entry: Entry) -> None:
        """Deliver a run, or a complete large message."""


class ChunkCollector(NamedTuple):
    """The :class:`~gateway.connections.fanout.fanout.ChunkSink` of one large message for consumers."""

    message: LargeMessage
    """The message, which gets the chunks."""
    fanout: Deliverer
    """Fan-out that delivers the message."""

    def chunk(self, chunk: StoredChunk) -> None:
        """Add a chunk."""
        self.message.chunks.append(chunk)

    def hold_back(self, reading: ReadingHolds) -> None:
        """Do nothing: no thread works on the chunks yet."""

    def commit(self) -> None:
        """Deliver the message."""
        self.fanout.deliver(self.message)

    def abort(self, code: int) -> None:
        """Do nothing: no consumer has received any part of the message."""
