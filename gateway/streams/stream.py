"""A stream: a named, ordered sequence of messages of one kind."""

from __future__ import annotations

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run


class Stream:
    """What the gateway remembers of a stream.

    Attributes:
        id: the number that names it on the wire, on all connections.
        kind: its delivery contract.
        epoch: its incarnation; with the offset it names a message for ever.
        next_offset: the offset that the next message gets.
        newest: of a ``state`` stream the newest message, for late joiners.
        published_bytes: payload and frames taken in, as received.
    """

    __slots__ = ("epoch", "id", "kind", "name", "newest", "next_offset", "published_bytes")

    def __init__(self, stream_id: StreamId, name: StreamName, kind: Kind, epoch: Epoch) -> None:
        self.id = stream_id
        self.name = name
        self.kind = kind
        self.epoch = epoch
        self.next_offset = 0
        self.newest: Run | LargeMessage | None = None
        self.published_bytes = 0

    def append_run(self, run: Run) -> None:
        """Count in a run whose offsets, from ``next_offset`` on, its frames already carry."""
        self.next_offset += run.count
        self.published_bytes += run.size
        if self.kind is Kind.STATE:
            self.newest = run.newest()

    def append_large(self, message: LargeMessage) -> None:
        """Give a whole large message its offset."""
        message.offset = self.next_offset
        self.next_offset += 1
        self.published_bytes += message.received_bytes
        if self.kind is Kind.STATE:
            self.newest = message
