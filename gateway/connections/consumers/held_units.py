"""Held units: units of one stream, kept until every consumer has acknowledged or given up each of them.

The module also carries out the outcomes of units: release, dead letters, notices to their publishers.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.consumers.consumer import Consumer
from gateway.connections.consumers.context import ConsumerContext
from gateway.connections.consumers.dead_letter import DeadLetter
from gateway.connections.consumers.outcomes import Buried, Expired, Released, UnitOutcome
from gateway.connections.consumers.prepared_deliveries import PreparedDeliveries
from gateway.connections.outbound.delayed_acks import DelayedAcks
from gateway.connections.ports import DurableStore
from gateway.connections.sessions.turns import Turns
from gateway.errors import Code
from gateway.ids import ClientId
from gateway.protocol.messages import Kind, Notice
from gateway.streams.progress import ConsumerProgress, Mark
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Burials:
    """Messages of one client that are to become dead letters and are not published yet."""

    progress: ConsumerProgress
    """Progress of the client, in which they are not settled."""
    count: int = 0
    end_offset: int | None = None
    """Offset behind the last message for the client, once it is not waited for any more."""


class HeldUnits:
    """Memory, progress and publishers of the units of one stream.

    Args:
        source: the stream.
        context: shared by all streams.
        deliveries: forms of the units, which are let go of with them.
        consumers: consumers of the stream by client; kept by the fan-out.
    """

    __slots__ = (
        "_burials",
        "_consumers",
        "_context",
        "_count",
        "_deliveries",
        "_moved",
        "_oversized",
        "_source",
        "_turns",
        "acks",
        "held_bytes",
    )

    def __init__(
        self,
        source: Stream,
        context: ConsumerContext,
        deliveries: PreparedDeliveries,
        consumers: Mapping[ClientId, Consumer],
    ) -> None:
        self._source = source
        self._context = context
        self._deliveries = deliveries
        self._consumers = consumers
        self._burials: dict[ClientId, _Burials] = {}
        """Messages that are to become dead letters, by client; the client may be gone."""
        self._count = 0
        self._moved: dict[Consumer, None] = {}
        """Consumers of a durable stream that have got further than the store was told."""
        self.acks = DelayedAcks(self._behind, context.clock, context.settings.max_hold_s)
        """Acknowledgements to the publishers of the stream."""
        self.held_bytes = 0
        """Cost of the units in memory, each counted once."""
        self._oversized: dict[AckUnit, None] = {}
        """Units that are larger than the limit by themselves, the oldest first."""
        self._turns = Turns()

    @property
    def _store(self) -> DurableStore | None:
        """Store that keeps the progress of consumers; ``None``: none keeps it, or not any more."""
        return self._context.store if self._source.durable and self._source.ended is None else None

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        limit_bytes = self._context.settings.limit_bytes
        return self.held_bytes >= limit_bytes and self._counted_bytes >= limit_bytes

    @property
    def _counted_bytes(self) -> int:
        """Bytes that count: not those of one unit larger than the limit, which goes beside the others."""
        oversized = next(iter(self._oversized), None)
        return self.held_bytes if oversized is None else self.held_bytes - oversized.size

    def takes_turn(self, publisher: int) -> bool:
        """Return whether a message of a peer is taken while :attr:`full`: of each there is one until there is room."""
        return self._turns.take(publisher, self._counted_bytes, self._context.settings.limit_bytes)

    def keep(self, units: Sequence[AckUnit], holders: Collection[Consumer]) -> None:
        """Hold new units until each of the ``holders``, at least one, has done with them."""
        count = len(holders)
        self._count += len(units)
        limit_bytes = self._context.settings.limit_bytes
        for unit in units:
            unit.holders = count
            self.held_bytes += unit.size
            if unit.size > limit_bytes:
                self._oversized[unit] = None

    def enact(self, consumer: Consumer, outcomes: Iterable[UnitOutcome]) -> None:
        """Act on the outcomes of units at a consumer."""
        for outcome in outcomes:
            if isinstance(outcome, Released):
                self._release(consumer, outcome.units)
            elif isinstance(outcome, Expired):
                self._expire(consumer, outcome.units)
            elif isinstance(outcome, Buried):
                self._bury(consumer, outcome)

    def enact_rest(self, consumer: Consumer) -> None:
        """Log why a delivery has failed, and act on the outcomes that it left, so that no unit is held for ever."""
        problem = "the client may miss messages until it reconnects; this is a fault of the gateway: report it"
        logger.exception("delivery of %s to %s failed: %s", self._source.name, consumer.client_id, problem)
        try:
            self.enact(consumer, consumer.take_outcomes())
        except Exception:
            logger.exception(
                "outcomes of messages of %s at %s are lost: the memory of these messages may stay taken until the "
                "gateway is restarted; this is a fault of the gateway: report it",
                self._source.name,
                consumer.client_id,
            )

    def end_turn(self) -> None:
        """Have the progress of consumers stored, and send the acknowledgements that need not be held back any more."""
        try:
            while self._moved:
                consumer, _ = self._moved.popitem()
                self.store_mark(consumer)
        finally:
            self.acks.flush()

    def store_mark(self, consumer: Consumer) -> None:
        """Have the progress of a consumer stored, if its stream outlives the gateway."""
        if self._store is not None:
            self._store.advance(self._source, consumer.client_id, consumer.progress.mark())

    def begin_progress(self, client_id: ClientId, end_offset: int) -> ConsumerProgress:
        """Return the progress of a client without a consumer, which gets the messages from ``end_offset`` on.

        As long as a message of the client's last consumer is still to become a dead letter, the progress is that of
        the last consumer: otherwise the message would count as settled, and be lost if the gateway is killed before
        the dead letter is published.
        """
        burials = self._burials.get(client_id)
        if burials is None:
            return ConsumerProgress(Mark(end_offset))
        if burials.end_offset is not None and burials.end_offset < end_offset:
            burials.progress.settle(burials.end_offset, end_offset - 1)
        burials.end_offset = None
        return burials.progress

    def forget(self, consumer: Consumer, end_offset: int) -> None:
        """Forget a consumer that is over: publishers do not wait for it any more.

        Its progress is forgotten when its dead letters are published.

        Args:
            consumer: the consumer.
            end_offset: offset behind the last message that was for it.
        """
        self._moved.pop(consumer, None)
        burials = self._burials.get(consumer.client_id)
        if burials is None:
            self._forget_mark(consumer.client_id)
        else:
            burials.end_offset = end_offset
        # Now: without consumers, the stream may never have another turn.
        self.acks.flush()

    def _forget_mark(self, client_id: ClientId) -> None:
        if self._store is not None and client_id not in self._consumers:
            self._store.advance(self._source, client_id, None)

    def _release(self, consumer: Consumer, units: Iterable[AckUnit]) -> None:
        if self._store is not None:
            present = self._consumers.get(consumer.client_id)
            if present is not None and present.progress is consumer.progress:
                self._moved[present] = None
        settle = consumer.progress.settle
        for unit in units:
            settle(unit.first, unit.last)
            unit.holders -= 1
            if not unit.holders:
                self.held_bytes -= unit.size
                self._count -= 1
                self._oversized.pop(unit, None)
                self._deliveries.forget(unit)
        if self._turns.had and not self.full:
            self._turns.begin()

    def _expire(self, consumer: Consumer, units: Iterable[AckUnit]) -> None:
        now_ns = self._context.clock.time_ns()
        for unit in units:
            late_s = (now_ns - (unit.deadline_ns or 0)) / 1e9
            reason = f"its deadline passed {late_s:.1f} s before it could be delivered"
            self._tell_author(consumer, unit, Code.EXPIRED, reason)
        self._release(consumer, units)

    def _bury(self, consumer: Consumer, burial: Buried) -> None:
        """Publish a unit as a dead letter; the unit is released when that is done."""
        unit = burial.unit
        letter = DeadLetter(self._source.name, unit.first, consumer.client_id, burial.tries, burial.reason)
        self._burials.setdefault(consumer.client_id, _Burials(consumer.progress)).count += 1
        done = partial(self._buried, consumer, unit)
        self._context.dead_letters.put(unit, letter, self._source.durability, done)
        self._tell_author(consumer, unit, Code.DEAD_LETTER, burial.reason)

    def _buried(self, consumer: Consumer, unit: AckUnit) -> None:
        burials = self._burials[consumer.client_id]
        burials.count -= 1
        self._release(consumer, [unit])
        if not burials.count:
            del self._burials[consumer.client_id]
            self._forget_mark(consumer.client_id)
        self.end_turn()

    def _tell_author(self, consumer: Consumer, unit: AckUnit, code: Code, reason: str) -> None:
        if unit.author is not None:
            notice = Notice(self._source.name, unit.first, unit.last, code, reason, client_id=consumer.client_id)
            self._context.notices.tell(unit.author, notice)

    def why_full(self) -> str:
        """Return which consumer holds most of the units, and what to do, for a publisher that is refused."""
        settings = self._context.settings.of(self._source.config)
        text = (
            f"{self._source.name}: {self.held_bytes} bytes of messages are not acknowledged by all its consumers, and "
            f"none are taken beyond limit_bytes={settings.limit_bytes}"
        )
        most = max(self._consumers.values(), key=lambda consumer: consumer.pending, default=None)
        if most is None:
            return f"{text}: try again later"
        text += f"; most wait for {most.client_id}, {most.pending} of them"
        if most.lost_s is None:
            return f"{text}, which is connected: try again later, or have it acknowledge faster"
        away_s = self._context.clock.monotonic_s() - most.lost_s
        return (
            f"{text}, which has been away for {away_s:.0f} s and is waited for until {settings.consumer_ttl_s:g} s "
            f"have passed: start it again with this client_id, or try again later; a client that only looks "
            f"subscribes with observe=True"
        )

    def _behind(self) -> bool:
        """Return whether receivers are so far behind that publishers are to wait."""
        settings = self._context.settings
        if self.held_bytes > settings.hold_bytes and self._count > 1:
            return True
        if self._source.kind is not Kind.CONTROL:
            return False
        half = settings.max_pending_commands // 2
        return any(consumer.connection is not None and consumer.pending > half for consumer in self._consumers.values())
