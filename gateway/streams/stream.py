"""Stream: a named, ordered sequence of messages of one kind."""

from __future__ import annotations

from typing import Any

from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import EndReason, Kind, StreamInfo
from gateway.protocol.mismatch import durability_mismatch, kind_mismatch
from gateway.protocol.schema import Schema
from gateway.streams.history import KEEP_NOTHING, Entry, History, HistoryBudget, HistoryLimits
from gateway.streams.large import LargeMessage
from gateway.streams.rules import DEFAULT_HISTORY, StreamConfig
from gateway.streams.run import Run, Source
from gateway.streams.span import held_bytes_of, offsets_of
from gateway.streams.state import specs_of

_NO_BUDGET = HistoryBudget(0)

_FITS_NOTHING = Schema.parse({"dtype": "bool", "shape": [0]})
"""Schema of a stream that has ended."""


class Stream:
    """State of a stream: its offsets, its newest message and its history.

    A message of a stream of durability ``memory`` is appended at once. Any other message first gets its offset
    (:meth:`reserve`), and is remembered when the store has it: a message that could still be lost is not delivered.

    Args:
        stream_id: number of the stream.
        name: its name.
        kind: its delivery contract.
        epoch: its incarnation.
        config: its configuration.
        history: its history; ``None``: it keeps none.
        durability: failures that its acknowledged messages survive.

    Attributes:
        aliases: number of aliases of connections that are bound to it; the store's thread reads it.
        id: the number that names it on the wire, on all connections.
        kind: its delivery contract.
        durability: failures that its acknowledged messages survive.
        ended: reason for which it has ended, and takes no message any more; ``None``: it has not.
        durable: whether a store keeps its messages.
        epoch: its incarnation; epoch and offset together never name two messages.
        expanded_bytes: bytes by which the newest version of a state is larger decoded than as it was published.
        next_offset: the offset that the next message gets.
        preferred: whether a receiver that lags gets its small messages before those of other streams.
        newest: of a ``state`` stream the newest message, for late joiners.
        history: its past in memory.
        stored_first: offset of the oldest message that the store keeps for readers; ``None``: it keeps none for them.
        published_bytes: bytes of payload and frames that were published, as received.
        conflated_messages: versions of a state that newer ones replaced on the way to a receiver, each receiver
            counted; of views of the stream as well, as the two that follow.
        client_conflated_messages: versions that were delivered, and that the library of a slow program replaced.
        dropped_messages: messages that receivers have lost, because history had them no more when their turn came.
        schema: schema of the messages of a ``state`` stream; ``None``: any message fits.
        takes_all: whether no message waits or is refused for want of room, because none is stored, kept for receivers
            that acknowledge it, or counted as one that expands.
    """

    __slots__ = (
        "_expected",
        "aliases",
        "client_conflated_messages",
        "config",
        "conflated_messages",
        "dropped_messages",
        "durability",
        "durable",
        "ended",
        "epoch",
        "expanded_bytes",
        "history",
        "id",
        "kind",
        "name",
        "newest",
        "next_offset",
        "preferred",
        "published_bytes",
        "schema",
        "stored_first",
        "takes_all",
    )

    def __init__(
        self,
        stream_id: StreamId,
        name: StreamName,
        kind: Kind,
        epoch: Epoch,
        config: StreamConfig | None = None,
        history: History | None = None,
        durability: Durability = Durability.MEMORY,
    ) -> None:
        self.id = stream_id
        self.aliases = 0
        self.preferred = False
        self.ended: EndReason | None = None
        self.name = name
        self.kind = kind
        self.epoch = epoch
        self.durability = durability
        self.durable = durability is not Durability.MEMORY
        self.takes_all = not (self.durable or kind.acknowledged or kind is Kind.STATE)
        self.config = config or StreamConfig()
        # Not `or`: an empty history is false.
        self.history = History(KEEP_NOTHING, _NO_BUDGET) if history is None else history
        self.next_offset = self.history.next_offset
        self.newest: Run | LargeMessage | None = None
        self._expected: Run | LargeMessage | None = None
        self.stored_first = self.next_offset if self.durable and not self.keeps_newest_only else None
        self.published_bytes = 0
        self.conflated_messages = self.client_conflated_messages = self.dropped_messages = 0
        self.expanded_bytes = 0
        self.schema = self.config.schema if kind is Kind.STATE else None

    @property
    def keeps_newest_only(self) -> bool:
        """True if only the newest message is kept."""
        return self.kind is Kind.STATE and not self.config.history_of(self.kind).keeps

    @property
    def stored_limits(self) -> HistoryLimits:
        """Limits of the past that a store keeps of a stream that does not keep its newest message only."""
        return self.config.history or DEFAULT_HISTORY

    @property
    def first_offset(self) -> int:
        """Offset of the oldest message that can be read again; ``next_offset`` if there is none."""
        return self.history.first if self.stored_first is None else min(self.stored_first, self.history.first)

    @property
    def empty(self) -> bool:
        """True if no message of it is kept, none is the newest state, and none is on its way to the store."""
        return self.newest is None and self.first_offset == self.next_offset == self.history.next_offset

    def count_conflated(self, count: int, *, by_client: bool = False) -> None:
        """Count versions that newer ones have replaced on the way to a receiver, or in the library of its program."""
        if by_client:
            self.client_conflated_messages += count
        else:
            self.conflated_messages += count

    def count_dropped(self, count: int) -> None:
        """Count messages that a receiver has lost."""
        self.dropped_messages += count

    def check(self, kind: Kind | None, durability: Durability | None) -> None:
        """Refuse an OPEN that expects another kind or durability (spec section 4.1); ``None`` expects any.

        Raises:
            RequestRefused: ``KIND_MISMATCH`` or ``DURABILITY_MISMATCH``.
        """
        if kind is not None and kind is not self.kind:
            raise kind_mismatch(self.name, self.kind, kind)
        if durability is not None and durability is not self.durability:
            raise durability_mismatch(self.name, self.durability, durability)

    @property
    def declared(self) -> dict[str, Any] | None:
        """The schema as fields of STREAM."""
        return None if self.schema is None else self.schema.fields()

    def info(self, since: int | None = None, *, recovered: bool | None = None) -> StreamInfo:
        """Return how STREAM announces the stream (spec section 4.1).

        Args:
            since: first offset that the receiver will get.
            recovered: whether it gets all that it asked for.
        """
        return StreamInfo(
            self.id,
            self.name,
            self.kind,
            self.epoch,
            self.next_offset,
            durability=self.durability,
            schema=self.declared,
            since=since,
            recovered=recovered,
        )

    def declare(self, schema: Schema) -> None:
        """Declare the schema of the messages, for as long as the stream exists (spec section 4.7).

        Raises:
            RequestRefused: ``SCHEMA_MISMATCH``, another schema was declared, or the newest message does not fit it;
                ``INVALID_REQUEST``, the stream is of another kind.
        """
        if self.kind is not Kind.STATE:
            message = f"schema {schema} for {self.name}, a stream of kind {self.kind.value}: only a state has one"
            raise RequestRefused(Code.INVALID_REQUEST, message)
        if self.schema is not None and self.schema != schema:
            message = f"stream {self.name} is declared to hold {self.schema}, not {schema}"
            raise RequestRefused(Code.SCHEMA_MISMATCH, message)
        if self.schema is None and self.latest is not None:
            schema.check(specs_of(self.latest), self.name)
        self.schema = schema

    def end(self, reason: EndReason) -> None:
        """Note that the stream has ended: from now on messages to it are refused with ``STREAM_ENDED``."""
        self.ended = reason
        self.newest = self._expected = None
        # No alias has this schema: so the next message to each of them is looked at closely, and refused, without a
        # look at `ended` for every message.
        self.schema = _FITS_NOTHING

    def check_open(self) -> None:
        """Refuse a message if the stream has ended.

        Raises:
            RequestRefused: ``STREAM_ENDED``.
        """
        if self.ended is not None:
            raise self.end_refusal()

    def end_refusal(self) -> RequestRefused:
        """Return the refusal of a message to the stream, which has ended."""
        problem = f"stream {self.name} of epoch {self.epoch} has ended ({self.ended}): its name is free for another one"
        return RequestRefused(Code.STREAM_ENDED, problem)

    def append_run(self, run: Run) -> None:
        """Append a run whose frames carry the offsets from ``next_offset`` on already."""
        self.next_offset += run.count
        self.published_bytes += run.size
        if self.kind is Kind.STATE:
            self.newest = run.newest()
        self.history.append(run)

    def append_large(self, message: LargeMessage) -> None:
        """Give a complete large message its offset, and append it."""
        message.offset = self.reserve(1)
        self.remember(message)

    def reserve(self, count: int) -> int:
        """Take the next ``count`` offsets and return the first; :meth:`remember` or :meth:`rollback` follows."""
        first = self.next_offset
        self.next_offset += count
        return first

    @property
    def latest(self) -> Entry | None:
        """Newest message of a ``state`` stream that has its offset, stored or not."""
        return self.newest if self._expected is None else self._expected

    def expect(self, entry: Entry) -> None:
        """Note that an entry with offsets is being stored; :meth:`remember` or :meth:`rollback` follows."""
        if self.kind is Kind.STATE:
            self._expected = entry.newest() if isinstance(entry, Run) else entry

    def remember(self, entry: Entry) -> None:
        """Make an entry that has its offsets available to readers and late joiners."""
        self.published_bytes += held_bytes_of(entry)
        if self.kind is Kind.STATE:
            self.newest = entry.newest() if isinstance(entry, Run) else entry
            if self._expected is self.newest:
                self._expected = None
        self.history.append(entry)

    def rollback(self, entry: Entry) -> None:
        """Take back the offsets that were reserved from this entry on; the next messages get them."""
        self.next_offset = offsets_of(entry)[0]
        self._expected = None

    def drop_newest(self) -> None:
        """Drop the newest message, which knows the stream and so would keep itself alive: the stream has ended."""
        self.newest = self._expected = None


def count_conflated(source: Source, count: int) -> int:
    """Count versions that were replaced among those of their stream; return their number."""
    if count and isinstance(source, Stream):
        source.count_conflated(count)
    return count


def count_dropped(source: Source, count: int) -> int:
    """Count messages that a receiver has lost among those of their stream, if they are of one; return their number."""
    if count and isinstance(source, Stream):
        source.count_dropped(count)
    return count
