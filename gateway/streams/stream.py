"""A stream: a named, ordered sequence of messages of one kind."""

from __future__ import annotations

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.streams.history import KEEP_NOTHING, History, HistoryBudget
from gateway.streams.large import LargeMessage
from gateway.streams.rules import StreamConfig
from gateway.streams.run import Run

_NO_BUDGET = HistoryBudget(0)


class Stream:
    """What the gateway remembers of a stream.

    Args:
        config: what is configured for it.
        history: what it keeps of its past; ``None``: nothing.

    Attributes:
        id: the number that names it on the wire, on all connections.
        kind: its delivery contract.
        epoch: its incarnation; with the offset it names a message for ever.
        next_offset: the offset that the next message gets.
        newest: of a ``state`` stream the newest message, for late joiners.
        history: the past that is held in memory.
        published_bytes: payload and frames taken in, as received.
    """

    __slots__ = ("config", "epoch", "history", "id", "kind", "name", "newest", "next_offset", "published_bytes")

    def __init__(
        self,
        stream_id: StreamId,
        name: StreamName,
        kind: Kind,
        epoch: Epoch,
        config: StreamConfig | None = None,
        history: History | None = None,
    ) -> None:
        self.id = stream_id
        self.name = name
        self.kind = kind
        self.epoch = epoch
        self.config = config or StreamConfig()
        # Not `or`: an empty history is false.
        self.history = History(KEEP_NOTHING, _NO_BUDGET) if history is None else history
        self.next_offset = self.history.next_offset
        self.newest: Run | LargeMessage | None = None
        self.published_bytes = 0

    @property
    def first_offset(self) -> int:
        """The oldest message that can be read again; ``next_offset`` if there is none."""
        return self.history.first

    def append_run(self, run: Run) -> None:
        """Count in a run whose offsets, from ``next_offset`` on, its frames already carry."""
        self.next_offset += run.count
        self.published_bytes += run.size
        if self.kind is Kind.STATE:
            self.newest = run.newest()
        self.history.append(run)

    def append_large(self, message: LargeMessage) -> None:
        """Give a whole large message its offset."""
        message.offset = self.next_offset
        self.next_offset += 1
        self.published_bytes += message.received_bytes
        if self.kind is Kind.STATE:
            self.newest = message
        self.history.append(message)
