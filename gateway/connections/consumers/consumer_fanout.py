"""Brings what is published to one stream to receivers that acknowledge: kinds ``collaboration`` and ``control``.

A message is kept once, until every consumer of the stream is done with it. An object for each message and consumer is
what it takes to know what became of each; streams of the other kinds do not pay for that.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from gateway.connections.consumers.ack_unit import AckUnit, units_of
from gateway.connections.consumers.consumer import Consumer
from gateway.connections.consumers.context import ConsumerContext
from gateway.connections.consumers.counters import ConsumerCounters
from gateway.connections.consumers.dead_letters import DeadLetter
from gateway.connections.consumers.delayed_acks import DelayedAcks
from gateway.connections.consumers.prepared_deliveries import PreparedDeliveries
from gateway.connections.consumers.steward import Form, Place
from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.connections.sessions.notices import Author
from gateway.errors import Code
from gateway.ids import ClientId
from gateway.protocol.data import DataFrame
from gateway.protocol.encoding import Chain, Encoding
from gateway.protocol.messages import Kind, Notice
from gateway.protocol.signals import Ack, Done
from gateway.protocol.wire import Buffer
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.progress import Mark, Progress, Unsettled
from gateway.streams.run import Run
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)


class ConsumerFanout:
    """The consumers of one stream, and the :class:`~gateway.connections.consumers.consumer.Steward` of its messages.

    Args:
        source: the stream.
        surroundings: what all streams share.

    Attributes:
        source: the stream.
        held_bytes: what its unacknowledged messages cost.
    """

    __slots__ = (
        "_acks",
        "_consumers",
        "_forms",
        "_holders",
        "_moved",
        "_past",
        "_surroundings",
        "_units",
        "_woken",
        "held_bytes",
        "source",
    )

    def __init__(self, source: Stream, surroundings: ConsumerContext) -> None:
        self.source = source
        self._surroundings = surroundings
        self._consumers: dict[ClientId, Consumer] = {}
        self._holders: dict[ClientId, dict[Connection, Sequence[CreditWindow]]] = {}
        """Of each client the connections that subscribe, the one that is served last."""
        self._units = 0
        """How many are held."""
        self._forms = PreparedDeliveries(source, surroundings.workers, self._wake_all)
        self._woken: dict[Place, None] = {}
        self._moved: dict[Place, None] = {}
        """Consumers of a durable stream that have got further than the store was told."""
        self._acks = DelayedAcks(self._behind, surroundings.clock.monotonic_s, surroundings.settings.max_hold_s)
        self._past = ConsumerCounters()
        self.held_bytes = 0
        for client_id in surroundings.detached.waiting_for(source.name):
            self.expect(client_id)

    @property
    def idle(self) -> bool:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`."""
        return not self._woken and self._forms.idle

    @property
    def queue_full(self) -> bool:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`."""
        return self.held_bytes >= self._surroundings.settings.limit_bytes

    @property
    def receivers(self) -> int:
        """Consumers, present or not."""
        return len(self._consumers)

    @property
    def delivered_messages(self) -> int:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`."""
        return self.tally.deliveries

    @property
    def tally(self) -> ConsumerCounters:
        """What all consumers have counted, also those that are gone."""
        return self._past.plus(self._consumers.values())

    @property
    def consumers(self) -> Mapping[ClientId, Consumer]:
        """By client, its place in the stream."""
        return self._consumers

    # Who receives.

    def restore(self, unsettled: Unsettled) -> None:
        """Take up what the gateway before this one had still to bring to its clients; to be called first of all."""
        for client_id, mark in unsettled.marks.items():
            self._expect(client_id, mark)
        for entry in unsettled.entries:
            for unit in units_of(entry):
                unit.author = self._author_of(entry)
                self._keep(
                    [unit], [one for one in self._consumers.values() if not one.progress.covers(unit.first, unit.last)]
                )

    def join(self, connection: Connection, credits: Sequence[CreditWindow]) -> None:
        """A connection subscribes, or has subscribed once more or once less.

        Args:
            credits: of those of its subscriptions that match the stream.
        """
        client_id = connection.peer.client_id
        holders = self._holders.setdefault(client_id, {})
        known = connection in holders
        holders[connection] = credits
        consumer = self.expect(client_id)
        connection.memberships[self.source] = consumer
        if not known:
            self._hand_over(consumer, connection, credits)
        elif consumer.connection is connection:
            consumer.change_credits(credits)

    def next_of(self, client_id: ClientId) -> int:
        """The first offset that a client will get."""
        consumer = self._consumers.get(client_id)
        return self._end_offset if consumer is None else consumer.progress.next_offset

    def expect(self, client_id: ClientId) -> Consumer:
        """The place of a client, who need not be present; from the next message on if it is new."""
        consumer = self._consumers.get(client_id)
        if consumer is None:
            consumer = self._expect(client_id, Mark(self._end_offset))
            self._advance(consumer)
        return consumer

    def leave(self, connection: Connection) -> None:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`: what is not acknowledged is given up."""
        consumer = self._withdraw(connection)
        if consumer is not None and not self._holders.get(connection.peer.client_id):
            self._end(consumer, None)

    def lose(self, connection: Connection) -> None:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`: the client is waited for."""
        consumer = self._withdraw(connection)
        if consumer is not None and not self._holders.get(connection.peer.client_id):
            consumer.detach(self._surroundings.clock.monotonic_s())

    def done(self, client_id: ClientId, done: Done) -> None:
        """A client is through with messages (spec section 7.4)."""
        consumer = self._consumers.get(client_id)
        if consumer is not None and done.first <= done.last:
            consumer.done(done.first, done.last, done.code)

    @property
    def _end_offset(self) -> int:
        """That of the next message that will be delivered; those behind it may be on their way to the store."""
        return self.source.history.next_offset

    def _expect(self, client_id: ClientId, mark: Mark) -> Consumer:
        settings, now_s = self._surroundings.settings, self._surroundings.clock.monotonic_s()
        consumer = Consumer(client_id, self.source, settings, self, now_s, Progress(mark))
        self._consumers[client_id] = consumer
        return consumer

    def _withdraw(self, connection: Connection) -> Consumer | None:
        """Take a connection out; the consumer goes to another one of the client, if there is one."""
        connection.memberships.pop(self.source, None)
        client_id = connection.peer.client_id
        consumer = self._consumers.get(client_id)
        holders = self._holders.get(client_id)
        if consumer is None or holders is None or holders.pop(connection, None) is None:
            return None
        if connection.outbox is not None:
            connection.outbox.forget(self.source)
        if not holders:
            del self._holders[client_id]
        elif consumer.connection is connection:
            heir, credits = next(reversed(holders.items()))
            consumer.attach(heir, credits)
        return consumer

    def _hand_over(self, consumer: Consumer, connection: Connection, credits: Sequence[CreditWindow]) -> None:
        before = consumer.connection
        if before is not None and before.outbox is not None:
            before.outbox.forget(self.source)
        consumer.attach(connection, credits)

    def _end(self, consumer: Consumer, reason: str | None) -> None:
        consumer.end(reason)
        self._forget(consumer)

    def _forget(self, consumer: Consumer) -> None:
        del self._consumers[consumer.client_id]
        self._woken.pop(consumer, None)
        self._moved.pop(consumer, None)
        self._forget_progress(consumer)
        self._past = self._past.plus([consumer])

    # What is published.

    def chains_for(
        self, names: frozenset[str], payload: Buffer, itemsize: int, meta: Buffer, encoding: Encoding | None = None
    ) -> dict[DeliveryClass, Chain]:
        """None: receivers get payloads as the publisher has encoded them, or plain if they cannot decode that."""
        return {}

    def deliver(self, run: Run) -> None:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`."""
        if self._consumers:
            self._put(units_of(run))

    def deliver_frame(self, run: Run, frame: DataFrame, publisher: int, itemsize: int) -> None:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`."""
        self.deliver(run)

    def begin(self, message: LargeMessage, publisher_codecs: frozenset[str], itemsize: int) -> None:
        """Nothing: a large message is delivered when it is whole, since it may have to be delivered again."""

    def chunk(self, message: LargeMessage, chunk: StoredChunk, itemsize: int) -> None:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`."""
        message.chunks.append(chunk)

    def commit(self, message: LargeMessage) -> None:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`."""
        if self._consumers:
            self._put(units_of(message))

    def abort(self, message: LargeMessage, code: int) -> None:
        """Nothing: nobody has got anything of it."""

    def _put(self, units: Sequence[AckUnit]) -> None:
        author = self._surroundings.notices.author_of(units[0].publisher)
        for unit in units:
            unit.author = author
        self._keep(units, self._consumers.values())

    def _keep(self, units: Sequence[AckUnit], consumers: Collection[Consumer]) -> None:
        if not consumers:
            return
        self._units += len(units)
        for unit in units:
            unit.holders = len(consumers)
            self.held_bytes += unit.size
        for consumer in consumers:
            consumer.put(units)
            self.wake(consumer)

    def _author_of(self, entry: Entry) -> Author | None:
        """Who published what was restored, as far as producers count."""
        if isinstance(entry, Run):
            identity = entry.identity
        else:
            identity = None if entry.extensions is None else entry.extensions.identity
        window = None if identity is None else self._surroundings.producers.find(self.source, identity.producer)
        return None if window is None else Author(window=window)

    # Publishers that are too fast.

    def acknowledge(self, connection: Connection, ack: Ack) -> None:
        """See :class:`~gateway.connections.fanout.fanout.Fanout`: held back while receivers are behind."""
        self._acks.send(connection, ack)

    def release_acks(self) -> None:
        """Acknowledge all that was taken: the gateway is stopping, and nobody will wait for receivers any more."""
        self._acks.release()

    def _behind(self) -> bool:
        settings = self._surroundings.settings
        if self.held_bytes > settings.hold_bytes and self._units > 1:
            return True
        if self.source.kind is not Kind.CONTROL:
            return False
        half = settings.max_pending_commands // 2
        return any(consumer.connection is not None and consumer.pending > half for consumer in self._consumers.values())

    # The steward of the units.

    def wake(self, consumer: Place) -> None:
        """See :class:`~gateway.connections.consumers.consumer.Steward`."""
        if not self._woken:
            self._surroundings.clock.call_soon(self._pump)
        self._woken[consumer] = None

    def release(self, consumer: Place, unit: AckUnit) -> None:
        """See :class:`~gateway.connections.consumers.consumer.Steward`."""
        consumer.progress.settle(unit.first, unit.last)
        if self.source.durable and self._consumers.get(consumer.client_id) is consumer:
            self._moved[consumer] = None
        unit.holders -= 1
        if not unit.holders:
            self.held_bytes -= unit.size
            self._units -= 1
            self._forms.forget(unit)

    def expired(self, consumer: Place, unit: AckUnit) -> None:
        """See :class:`~gateway.connections.consumers.consumer.Steward`."""
        late_s = (self._surroundings.clock.time_ns() - (unit.deadline_ns or 0)) / 1e9
        self._tell(consumer, unit, Code.EXPIRED, f"its deadline passed {late_s:.1f} s before it could be delivered")
        self.release(consumer, unit)

    def bury(self, consumer: Place, unit: AckUnit, tries: int, reason: str) -> None:
        """See :class:`~gateway.connections.consumers.consumer.Steward`."""
        letter = DeadLetter(self.source.name, unit.first, consumer.client_id, tries, reason)
        consumer.burials += 1
        self._surroundings.dead_letters.put(unit, letter, self.source.durability, partial(self._buried, consumer, unit))
        self._tell(consumer, unit, Code.DEAD_LETTER, reason)

    def _buried(self, consumer: Place, unit: AckUnit) -> None:
        consumer.burials -= 1
        self.release(consumer, unit)
        if self._consumers.get(consumer.client_id) is consumer:
            self._store_progress()
        else:
            self._forget_progress(consumer)
        self._acks.flush()

    # What outlives the gateway.

    def _store_progress(self) -> None:
        moved, self._moved = self._moved, {}
        for consumer in moved:
            self._advance(consumer)

    def _advance(self, consumer: Place) -> None:
        if self.source.durable:
            self._surroundings.store.advance(self.source, consumer.client_id, consumer.progress.mark())

    def _forget_progress(self, consumer: Place) -> None:
        """A client receives the stream no more, and has no dead letter on its way that may still be lost."""
        if self.source.durable and not consumer.burials and consumer.client_id not in self._consumers:
            self._surroundings.store.advance(self.source, consumer.client_id, None)

    def form_of(self, unit: AckUnit, connection: Connection) -> Form | None:
        """See :class:`~gateway.connections.consumers.consumer.Steward`."""
        return self._forms.of(unit, connection)

    def _wake_all(self) -> None:
        for consumer in self._consumers.values():
            self.wake(consumer)

    def _tell(self, consumer: Place, unit: AckUnit, code: Code, reason: str) -> None:
        notice = Notice(self.source.name, unit.first, unit.last, code, reason, client_id=consumer.client_id)
        if unit.author is not None:
            self._surroundings.notices.tell(unit.author, notice)

    def _pump(self) -> None:
        woken, self._woken = self._woken, {}
        now_ns = self._surroundings.clock.time_ns()
        for consumer in woken:
            try:
                consumer.pump(now_ns)
            except Exception:
                # One consumer must not cost the others their turn.
                logger.exception("the consumer %s of %s failed", consumer.client_id, self.source.name)
        self._store_progress()
        self._acks.flush()

    # Time.

    def sweep(self) -> None:
        """To be called about once a second: deadlines, time-outs, and clients that do not come back."""
        if not self._consumers:
            return
        clock = self._surroundings.clock
        now_s, now_ns = clock.monotonic_s(), clock.time_ns()
        for consumer in list(self._consumers.values()):
            if not consumer.sweep(now_s, now_ns):
                self._forget(consumer)
        self._store_progress()
        self._acks.flush()
