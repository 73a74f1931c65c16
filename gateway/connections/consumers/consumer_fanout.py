"""Fan-out of one stream to receivers that acknowledge: kinds ``collaboration`` and ``control``.

A message is kept once, until every consumer of the stream has done with it. An object for each message and consumer is
the price of knowing what became of each; streams of the other kinds do not pay it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from gateway.connections.consumers.ack_unit import AckUnit, units_of
from gateway.connections.consumers.chunk_collector import ChunkCollector
from gateway.connections.consumers.consumer import Consumer
from gateway.connections.consumers.context import ConsumerContext
from gateway.connections.consumers.held_units import HeldUnits
from gateway.connections.consumers.prepared_deliveries import PreparedDeliveries
from gateway.connections.consumers.stats import ConsumerStats
from gateway.connections.fanout.delivery_class import DeliveryClass, Flusher
from gateway.connections.fanout.fanout import ChunkSink
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.reading_holds import ReadingHolds
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.connections.slices import Step
from gateway.ids import ClientId
from gateway.protocol.data import DataFrame
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import Chain, Encoding
from gateway.protocol.signals import Ack, Done, InProgress
from gateway.protocol.wire import Buffer
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage
from gateway.streams.progress import ConsumerProgress, Unsettled
from gateway.streams.run import Run
from gateway.streams.stream import Stream

PUMPED_TOGETHER: Final = 16
"""Consumers that are pumped in one step: some hundred microseconds."""

SENT_TOGETHER: Final = 64
"""Units that are sent in one step, of which as many may have to become text before: less than a millisecond."""


class ConsumerFanout:
    """The :class:`~gateway.connections.fanout.fanout.Fanout` of a stream whose receivers acknowledge.

    Begins with a consumer for each client that is away and had subscribed to the stream before it was opened.

    Args:
        source: the stream.
        context: shared by all streams.
        flusher: takes note of deliveries, each of which costs time of the turn.

    Attributes:
        taps: called with each message that consumers get for the first time; they serve observers of the stream.
    """

    __slots__ = (
        "_connections",
        "_consumers",
        "_context",
        "_deliveries",
        "_flusher",
        "_held",
        "_past",
        "_settings",
        "_woken",
        "source",
        "taps",
    )

    def __init__(self, source: Stream, context: ConsumerContext, flusher: Flusher) -> None:
        self.source = source
        self.taps: list[Callable[[Entry], object]] = []
        self._context = context
        self._flusher = flusher
        self._settings = context.settings.of(source.config)
        self._consumers: dict[ClientId, Consumer] = {}
        self._connections: dict[ClientId, dict[Connection, Sequence[CreditWindow]]] = {}
        """Connections of each client that subscribe: the last one is served, those before it are lost, and going."""
        self._deliveries = PreparedDeliveries(source, context.workers, context.kept_forms, self._wake_all)
        self._woken: OrderedDict[Consumer, None] = OrderedDict()
        """Consumers to be pumped at the end of the turn."""
        self._held = HeldUnits(source, context, self._deliveries, self._consumers)
        self._past = ConsumerStats()
        """Counters of consumers that are gone."""
        for client_id in context.detached.waiting_for(source.name):
            if context.count.total < self._settings.max_consumers:
                self.consumer_of(client_id)

    @property
    def idle(self) -> bool:
        """True while no consumer is to be pumped and no message is being prepared in a thread."""
        return not self._woken and self._deliveries.idle

    @property
    def settled(self) -> bool:
        """True if no message waits for a consumer."""
        return self.idle and not self._held.held_bytes

    @property
    def held_bytes(self) -> int:
        """Cost in memory of the messages that are not acknowledged."""
        return self._held.held_bytes

    @property
    def queue_full(self) -> bool:
        """True when so much is held for consumers that publishes are refused, unless it is their publisher's turn."""
        return self._held.full

    def takes_turn(self, connection: Connection) -> bool:
        """Return whether a publish is taken although :attr:`queue_full`, because it is its publisher's turn."""
        return self._held.takes_turn(connection.peer.id)

    def why_full(self) -> str:
        """Return which consumer holds most of the messages, and what to do."""
        return self._held.why_full()

    @property
    def receivers(self) -> int:
        """Number of consumers, present or not."""
        return len(self._consumers)

    @property
    def delivered_messages(self) -> int:
        """Messages delivered and redelivered, each consumer counted, also consumers that are gone."""
        return self._past.counting(self._consumers.values()).deliveries

    @property
    def consumers(self) -> Mapping[ClientId, Consumer]:
        """Consumers by client."""
        return self._consumers

    def stats(self) -> ConsumerStats:
        """Return the numbers of all consumers; counters include consumers that are gone."""
        consumers = self._consumers.values()
        present = sum([consumer.connection is not None for consumer in consumers])
        return self._past.counting(consumers)._replace(
            present=present,
            absent=len(consumers) - present,
            pending=sum([consumer.pending for consumer in consumers]),
            held_bytes=self._held.held_bytes,
        )

    # Receivers.

    def restore(self, unsettled: Unsettled) -> None:
        """Take over the messages that the gateway before this one had still to deliver; to be called first of all."""
        for client_id, mark in unsettled.marks.items():
            self._add_consumer(client_id, ConsumerProgress(mark))
        for entry in unsettled.entries:
            author = self._context.author_of(self.source, entry)
            for unit in units_of(entry):
                unit.author = author
                if unit.deadline_ns is not None:
                    unit.deadline_ns += unsettled.shift_ns(unit.first)
                waiting = [each for each in self._consumers.values() if not each.progress.covers(unit.first, unit.last)]
                self._keep([unit], waiting)

    def join(self, connection: Connection, credits: Sequence[CreditWindow]) -> None:
        """Serve a connection that subscribes, or that has subscribed once more or once less.

        Args:
            connection: the subscriber.
            credits: of those of its subscriptions that match the stream.
        """
        client_id = connection.peer.client_id
        consumer = self.consumer_of(client_id)
        connections = self._connections.setdefault(client_id, {})
        known = connection in connections
        connections[connection] = credits
        connection.enter(self.source, consumer)
        if not known:
            before = consumer.connection
            if before is not None and before.outbox is not None:
                before.outbox.forget(self.source)
            self._held.enact(consumer, consumer.attach(connection, credits))
            self._wake(consumer)
        elif consumer.connection is connection:
            consumer.change_credits(credits)
            self._wake(consumer)

    def first_offset_for(self, client_id: ClientId) -> int:
        """Return the offset of the first message that a client gets."""
        consumer = self._consumers.get(client_id)
        first = None if consumer is None else consumer.first_pending
        return self.end_offset if first is None else first

    def leave(self, connection: Connection) -> None:
        """Remove a connection that unsubscribes: its client gives up the messages that it has not acknowledged."""
        consumer = self._withdraw(connection, lost=False)
        if consumer is not None:
            self._held.enact(consumer, consumer.end(None))
            self._forget(consumer)

    def detach(self, connection: Connection) -> None:
        """Remove a connection that is lost: messages are kept for its client until it comes back."""
        consumer = self._withdraw(connection, lost=True)
        if consumer is not None:
            consumer.detach(self._context.clock.monotonic_s())

    def close(self, end: Callable[[Connection], object]) -> Iterator[None]:
        """Remove all consumers, one a step: the stream has ended, and their messages are given up."""
        yield from self._held.acks.releasing()
        for connection in [each for own in self._connections.values() for each in own]:
            if self.source not in connection.memberships:
                continue  # gone meanwhile
            self.leave(connection)
            end(connection)
            yield
        for consumer in list(self._consumers.values()):
            if not consumer.ended:
                self._held.enact(consumer, consumer.end(None))
                self._forget(consumer)
                yield

    def done(self, client_id: ClientId, done: Done) -> Step | None:
        """Note that a client has done with messages (spec section 7.4); return the step that goes on, if any."""
        consumer = self._consumers.get(client_id)
        if consumer is None or done.first > done.last:
            return None
        answering = consumer.done(done.first, done.last, done.code)

        def step() -> bool:
            more = next(answering, False) is None
            self._held.enact(consumer, consumer.take_outcomes())
            self._wake(consumer)
            return more

        return step if step() else None

    def in_progress(self, client_id: ClientId, progress: InProgress) -> None:
        """Note that a client still has messages (spec section 7.8)."""
        consumer = self._consumers.get(client_id)
        if consumer is not None and progress.first <= progress.last:
            consumer.in_progress(progress.first, progress.last, self._context.clock.monotonic_s())

    @property
    def end_offset(self) -> int:
        """Offset of the next message that is delivered; later ones may be on their way to the store."""
        return self.source.history.next_offset

    def check_room(self, client_id: ClientId) -> None:
        """Refuse a client without a consumer by ``LIMIT_EXCEEDED`` if the gateway has as many as it may."""
        if client_id not in self._consumers:
            self._context.count.check(self._settings.max_consumers)

    def consumer_of(self, client_id: ClientId) -> Consumer:
        """Return the consumer of a client, who need not be present; a new one begins with the next message."""
        consumer = self._consumers.get(client_id)
        if consumer is None:
            consumer = self._add_consumer(client_id, self._held.begin_progress(client_id, self.end_offset))
            self._held.store_mark(consumer)
        return consumer

    def _add_consumer(self, client_id: ClientId, progress: ConsumerProgress) -> Consumer:
        now_s = self._context.clock.monotonic_s()
        consumer = Consumer(client_id, self.source, self._settings, self._deliveries, self._wake, now_s, progress)
        self._consumers[client_id] = consumer
        self._context.count.total += 1
        return consumer

    def _withdraw(self, connection: Connection, *, lost: bool) -> Consumer | None:
        """Remove a connection. Return the consumer of its client if the client has no other one to be served."""
        connection.leave(self.source)
        client_id = connection.peer.client_id
        consumer = self._consumers.get(client_id)
        connections = self._connections.get(client_id)
        if consumer is None or connections is None or connections.pop(connection, None) is None:
            return None
        # Connections before the newest one are lost: they do not keep what the client gives up on this one.
        if not connections or (consumer.connection is connection and not lost):
            del self._connections[client_id]
            return consumer
        if consumer.connection is connection:
            consumer.detach(self._context.clock.monotonic_s())
            self._held.enact(consumer, consumer.attach(*next(reversed(connections.items()))))
            self._wake(consumer)
        return None

    def _forget(self, consumer: Consumer) -> None:
        del self._consumers[consumer.client_id]
        self._context.count.total -= 1
        self._woken.pop(consumer, None)
        self._held.forget(consumer, self.end_offset)
        self._past = self._past.counting([consumer])

    # Publishes.

    def chains_for(
        self, names: frozenset[str], payload: Buffer, element: DTypeLike, meta: Buffer, encoding: Encoding | None = None
    ) -> dict[DeliveryClass, Chain]:
        """Return no chain: receivers get payloads as published, or plain if they cannot decode that."""
        return {}

    def deliver(self, entry: Entry) -> None:
        """Deliver a run, or a complete large message."""
        if self._consumers:
            self._put(units_of(entry))
        for tap in self.taps:
            tap(entry)

    def deliver_frame(self, run: Run, frame: DataFrame, publisher: int, element: DTypeLike) -> None:
        """Deliver a run of one frame to all consumers, as published."""
        self.deliver(run)

    def begin(self, message: LargeMessage, publisher_codecs: frozenset[str], element: DTypeLike) -> ChunkSink:
        """Return a collector of chunks: the message is delivered when complete, since it may be delivered again."""
        return ChunkCollector(message, self)

    def _put(self, units: Sequence[AckUnit]) -> None:
        author = self._context.notices.author_of(units[0].publisher)
        for unit in units:
            unit.author = author
        self._keep(units, self._consumers.values())

    def _keep(self, units: Sequence[AckUnit], consumers: Collection[Consumer]) -> None:
        if not consumers:
            return
        self._held.keep(units, consumers)
        self._flusher.owed += len(consumers)
        for consumer in consumers:
            consumer.put(units)
            self._wake(consumer)

    # Acknowledgements to publishers.

    def hold_back(self, reading: ReadingHolds) -> None:
        """Do nothing: threads prepare messages for consumers only as they are sent."""

    def acknowledge(self, connection: Connection, ack: Ack) -> None:
        """Acknowledge messages to their publisher, when consumers are not behind."""
        self._held.acks.send(connection, ack)

    @property
    def held_acks(self) -> int:
        """Number of acknowledgements that are held back."""
        return len(self._held.acks)

    def forget_publisher(self, connection: Connection) -> None:
        """Drop the acknowledgements to a publisher that is gone."""
        self._held.acks.forget(connection)

    def release_acks(self) -> None:
        """Acknowledge all messages that were taken: the gateway stops, and receivers are not waited for any more."""
        self._held.acks.release()

    # Turns and time.

    def sweep(self) -> Iterator[None]:
        """Check deadlines, time-outs and clients that do not come back; to be called about once a second.

        Yields behind each consumer, and at the end, for the loop.
        """
        clock = self._context.clock
        for consumer in list(self._consumers.values()):
            if self._consumers.get(consumer.client_id) is not consumer:
                continue  # gone meanwhile
            outcomes = consumer.sweep(clock.monotonic_s(), clock.time_ns())
            self._held.enact(consumer, outcomes)
            if consumer.ended:
                self._forget(consumer)
            elif outcomes:
                self._wake(consumer)
            yield
        self._held.end_turn()
        yield

    def _wake(self, consumer: Consumer) -> None:
        """Have a consumer pumped at the end of the turn."""
        if not self._woken:
            self._context.clock.call_soon(partial(self._context.slices.begin, self._pump))
        self._woken[consumer] = None

    def _wake_all(self) -> None:
        for consumer in self._consumers.values():
            self._wake(consumer)

    def _pump(self) -> bool:
        """Pump some consumers, and go on with the others in another step; return False."""
        now_ns = self._context.clock.time_ns()
        left = SENT_TOGETHER
        for _ in range(min(PUMPED_TOGETHER, len(self._woken))):
            if not left:
                break
            consumer, _ = self._woken.popitem(last=False)
            try:
                left = consumer.pump(now_ns, left)
                self._held.enact(consumer, consumer.take_outcomes())
            except Exception:  # noqa: BLE001 - it is logged, and one consumer must not cost the others their turn
                self._held.enact_rest(consumer)
        try:
            self._held.end_turn()
        finally:
            # Also if that has failed: nobody else wakes the consumers that wait.
            if self._woken:
                self._context.slices.add(self._pump)
        return False
