"""Brings what is published to one stream to receivers that acknowledge: kinds ``collaboration`` and ``control``.

A message is kept once, until every consumer of the stream is done with it. An object for each message and consumer is
what it takes to know what became of each; streams of the other kinds do not pay for that.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.connections.connection import Connection
from gateway.connections.consumer import Consumer, ConsumerSettings
from gateway.connections.credit import Credit
from gateway.connections.dead_letters import DeadLetter, DeadLetters
from gateway.connections.delivery import DeliveryClass
from gateway.connections.formats import in_one_piece
from gateway.connections.missed import LargeForm
from gateway.connections.notices import Notices
from gateway.connections.ports import Clock, Workers
from gateway.connections.recode import chunk_codecs, codecs_of, frame_of, recode_chunk, recode_run
from gateway.connections.steward import Form, Place
from gateway.connections.unit import Unit, units_of
from gateway.errors import Code
from gateway.ids import ClientId
from gateway.protocol.data import DataFrame
from gateway.protocol.encoding import PLAIN, Chain, Encoding
from gateway.protocol.messages import Kind, Notice
from gateway.protocol.signals import Ack, Done, Gap
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

THREAD_BYTES: Final = 64 * 1024
"""Larger messages are made into text in a thread."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the consumers of all streams share."""

    settings: ConsumerSettings
    clock: Clock
    workers: Workers
    notices: Notices
    dead_letters: DeadLetters


class ConsumerFanout:
    """The consumers of one stream, and the :class:`~gateway.connections.consumer.Steward` of its messages.

    Args:
        source: the stream.
        surroundings: what all streams share.

    Attributes:
        source: the stream.
        held_bytes: what its unacknowledged messages cost.
    """

    __slots__ = (
        "_consumers",
        "_forms",
        "_held_acks",
        "_holders",
        "_past_deliveries",
        "_preparing",
        "_stopping",
        "_surroundings",
        "_units",
        "_woken",
        "held_bytes",
        "source",
    )

    def __init__(self, source: Stream, surroundings: Surroundings) -> None:
        self.source = source
        self._surroundings = surroundings
        self._consumers: dict[ClientId, Consumer] = {}
        self._holders: dict[ClientId, dict[Connection, Sequence[Credit]]] = {}
        """Of each client the connections that subscribe, the one that is served last."""
        self._units = 0
        """How many are held."""
        self._forms: dict[tuple[Unit, str], Form | None] = {}
        """What was made of units for receivers that cannot have them as they came; ``None``: is being made."""
        self._woken: dict[Place, None] = {}
        self._held_acks: deque[tuple[float, Connection, Ack]] = deque()
        self._preparing = 0
        self._stopping = False
        self._past_deliveries = 0
        self.held_bytes = 0

    @property
    def idle(self) -> bool:
        """See :class:`~gateway.connections.distributor.Distributor`."""
        return not self._woken and not self._preparing

    @property
    def queue_full(self) -> bool:
        """See :class:`~gateway.connections.distributor.Distributor`."""
        return self.held_bytes >= self._surroundings.settings.limit_bytes

    @property
    def receivers(self) -> int:
        """Consumers, present or not."""
        return len(self._consumers)

    @property
    def delivered_messages(self) -> int:
        """See :class:`~gateway.connections.distributor.Distributor`."""
        present = [consumer.delivered + consumer.replayed for consumer in self._consumers.values()]
        return self._past_deliveries + sum(present)

    @property
    def consumers(self) -> Mapping[ClientId, Consumer]:
        """By client, its place in the stream."""
        return self._consumers

    # Who receives.

    def join(self, connection: Connection, credits: Sequence[Credit]) -> None:
        """A connection subscribes, or has subscribed once more or once less.

        Args:
            credits: of those of its subscriptions that match the stream.
        """
        client_id = connection.client_id
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
        return self.source.next_offset if consumer is None else consumer.next_offset

    def expect(self, client_id: ClientId) -> Consumer:
        """The place of a client, who need not be present; from the next message on if it is new."""
        consumer = self._consumers.get(client_id)
        if consumer is None:
            settings, now_s = self._surroundings.settings, self._surroundings.clock.monotonic_s()
            consumer = self._consumers[client_id] = Consumer(client_id, self.source, settings, self, now_s)
        return consumer

    def leave(self, connection: Connection) -> None:
        """See :class:`~gateway.connections.distributor.Distributor`: what is not acknowledged is given up."""
        consumer = self._withdraw(connection)
        if consumer is not None and not self._holders.get(connection.client_id):
            self._end(consumer, None)

    def lose(self, connection: Connection) -> None:
        """See :class:`~gateway.connections.distributor.Distributor`: the client is waited for."""
        consumer = self._withdraw(connection)
        if consumer is not None and not self._holders.get(connection.client_id):
            consumer.detach(self._surroundings.clock.monotonic_s())

    def done(self, client_id: ClientId, done: Done) -> None:
        """A client is through with messages (spec section 7.4)."""
        consumer = self._consumers.get(client_id)
        if consumer is not None and done.first <= done.last:
            consumer.done(done.first, done.last, done.code)

    def _withdraw(self, connection: Connection) -> Consumer | None:
        """Take a connection out; the consumer goes to another one of the client, if there is one."""
        connection.memberships.pop(self.source, None)
        client_id = connection.client_id
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

    def _hand_over(self, consumer: Consumer, connection: Connection, credits: Sequence[Credit]) -> None:
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
        self._past_deliveries += consumer.delivered + consumer.replayed

    # What is published.

    def chains_for(
        self, names: frozenset[str], payload: Buffer, itemsize: int, meta: Buffer, encoding: Encoding | None = None
    ) -> dict[DeliveryClass, Chain]:
        """None: receivers get payloads as the publisher has encoded them, or plain if they cannot decode that."""
        return {}

    def deliver(self, run: Run) -> None:
        """See :class:`~gateway.connections.distributor.Distributor`."""
        if self._consumers:
            self._put(units_of(run))

    def deliver_frame(self, run: Run, frame: DataFrame, publisher: int, itemsize: int) -> None:
        """See :class:`~gateway.connections.distributor.Distributor`."""
        self.deliver(run)

    def begin(self, message: LargeMessage, publisher_codecs: frozenset[str], itemsize: int) -> None:
        """Nothing: a large message is delivered when it is whole, since it may have to be delivered again."""

    def chunk(self, message: LargeMessage, chunk: StoredChunk, itemsize: int) -> None:
        """See :class:`~gateway.connections.distributor.Distributor`."""
        message.chunks.append(chunk)

    def commit(self, message: LargeMessage) -> None:
        """See :class:`~gateway.connections.distributor.Distributor`."""
        if self._consumers:
            self._put([Unit.of_large(message)])

    def abort(self, message: LargeMessage, code: int) -> None:
        """Nothing: nobody has got anything of it."""

    def _put(self, units: Sequence[Unit]) -> None:
        author = self._surroundings.notices.author_of(units[0].publisher)
        self._units += len(units)
        for unit in units:
            unit.holders = len(self._consumers)
            self.held_bytes += unit.size
            unit.author = author
        for consumer in self._consumers.values():
            consumer.put(units)
            self.wake(consumer)

    # Publishers that are too fast.

    def acknowledge(self, connection: Connection, ack: Ack) -> None:
        """See :class:`~gateway.connections.distributor.Distributor`: held back while receivers are behind."""
        if not self._stopping and (self._held_acks or self._pressed()):
            self._held_acks.append((self._surroundings.clock.monotonic_s(), connection, ack))
        else:
            connection.send(ack)

    def _pressed(self) -> bool:
        settings = self._surroundings.settings
        if self.held_bytes > settings.hold_bytes and self._units > 1:
            return True
        if self.source.kind is not Kind.CONTROL:
            return False
        half = settings.max_pending_commands // 2
        return any(consumer.connection is not None and consumer.pending > half for consumer in self._consumers.values())

    def release_acks(self) -> None:
        """Acknowledge all that was taken: the gateway is stopping, and nobody will wait for receivers any more."""
        self._stopping = True
        held, self._held_acks = self._held_acks, deque()
        for _, connection, ack in held:
            connection.send(ack)

    def _send_held_acks(self) -> None:
        held = self._held_acks
        latest_s = self._surroundings.clock.monotonic_s() - self._surroundings.settings.max_hold_s
        while held and (held[0][0] <= latest_s or not self._pressed()):
            _, connection, ack = held.popleft()
            connection.send(ack)

    # The steward of the units.

    def wake(self, consumer: Place) -> None:
        """See :class:`~gateway.connections.consumer.Steward`."""
        if not self._woken:
            self._surroundings.clock.call_soon(self._pump)
        self._woken[consumer] = None

    def release(self, unit: Unit) -> None:
        """See :class:`~gateway.connections.consumer.Steward`."""
        unit.holders -= 1
        if not unit.holders:
            self.held_bytes -= unit.size
            self._units -= 1
            if self._forms:
                for key in [key for key in self._forms if key[0] is unit]:
                    del self._forms[key]

    def expired(self, consumer: Place, unit: Unit) -> None:
        """See :class:`~gateway.connections.consumer.Steward`."""
        late_s = (self._surroundings.clock.time_ns() - (unit.deadline_ns or 0)) / 1e9
        self._tell(consumer, unit, Code.EXPIRED, f"its deadline passed {late_s:.1f} s before it could be delivered")
        self.release(unit)

    def bury(self, consumer: Place, unit: Unit, tries: int, reason: str) -> None:
        """See :class:`~gateway.connections.consumer.Steward`."""
        letter = DeadLetter(self.source.name, unit.first, consumer.client_id, tries, reason)
        self._surroundings.dead_letters.put(unit, letter)
        self._tell(consumer, unit, Code.DEAD_LETTER, reason)
        self.release(unit)

    def form_of(self, unit: Unit, connection: Connection) -> Form | None:
        """See :class:`~gateway.connections.consumer.Steward`."""
        content = unit.content
        if unit.nbytes > connection.max_message_bytes:
            return Gap(self.source.id, Code.MESSAGE_TOO_BIG, unit.first, unit.last)
        form = connection.format
        if isinstance(content, Run):
            if not form.takes_chunks:
                if content.text is not None or content.size <= THREAD_BYTES:
                    return content
                return self._made(unit, form.name, partial(in_one_piece, form, content))
            if codecs_of(content) <= connection.codecs:
                return content
            return self._made(unit, "plain", partial(_plain_run, content))
        if not form.takes_chunks:
            return self._made(unit, form.name, partial(in_one_piece, form, content))
        if chunk_codecs(content.chunks) <= connection.codecs:
            return LargeForm(content, content.chunks)
        return self._made(unit, "plain", partial(_plain_chunks, content))

    def _made(self, unit: Unit, name: str, work: Callable[[], Form]) -> Form | None:
        """What ``work`` makes of a unit in a thread, once for all who need it."""
        key = (unit, name)
        if key in self._forms:
            return self._forms[key]
        self._forms[key] = None
        self._preparing += 1

        def deliver(result: Form | BaseException) -> None:
            self._preparing -= 1
            if key not in self._forms:  # nobody waits for it any more
                return
            if isinstance(result, BaseException):
                logger.warning("message %d of %s cannot be decoded: %s", unit.first, self.source.name, result)
                result = Gap(self.source.id, Code.CORRUPT_PAYLOAD, unit.first, unit.last)
            self._forms[key] = result
            for consumer in self._consumers.values():
                self.wake(consumer)

        self._surroundings.workers.submit(work, deliver)
        return None

    def _tell(self, consumer: Place, unit: Unit, code: Code, reason: str) -> None:
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
        self._send_held_acks()

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
        self._send_held_acks()


def _plain_run(run: Run) -> Run:
    return recode_run(run, frame_of(run), PLAIN, 1)


def _plain_chunks(message: LargeMessage) -> LargeForm:
    return LargeForm(message, [recode_chunk(chunk, PLAIN, 1) for chunk in message.chunks])
