"""Pub/sub fan-out: delivers the messages of one stream (or inbox) to its delivery classes, in order.

Small messages go straight to the classes. Messages that have to be encoded for some of the classes go to the
:class:`~gateway.connections.fanout.transcoder.Transcoder` first, and everything behind them waits its turn. Large
messages are passed on by a :class:`~gateway.connections.fanout.broadcast.Broadcast`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from gateway.connections.fanout.broadcast import Broadcast
from gateway.connections.fanout.class_table import ClassKey, ClassTable
from gateway.connections.fanout.delivery_class import DeliveryClass, Flusher
from gateway.connections.fanout.delta_encoder import DeltaEncoder, decoded_bytes
from gateway.connections.fanout.encode_queue import EncodeQueue
from gateway.connections.fanout.history_reader import HistoryReader
from gateway.connections.fanout.late_join import LateJoin
from gateway.connections.fanout.recode import codec_names
from gateway.connections.fanout.start_position import StartPosition, start_of
from gateway.connections.fanout.transcoder import RECODE_BYTES, Transcoder
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delayed_acks import EventAcks
from gateway.connections.outbound.no_entries import NO_ENTRIES, with_entry
from gateway.connections.outbound.reading_holds import ReadingHolds
from gateway.connections.ports import DeliveryPolicy, Workers
from gateway.connections.slices import Slices
from gateway.errors import Code
from gateway.protocol.data import DataFrame
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import Chain, Encoding
from gateway.protocol.messages import Kind, Since
from gateway.protocol.signals import Ack, Gap
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.span import offsets_of
from gateway.streams.stream import Stream


class PubSubFanout:
    """Fan-out of one source to receivers that do not acknowledge.

    Args:
        source: the stream or inbox.
        flusher: flushes the delivery classes at the end of the turn.
        workers: threads that encode and decode.
        policy: chooses encodings.
        history: reads messages that a receiver missed.
        slices: moves receivers between delivery classes, bit by bit if they are many.
        acks: acknowledgements to publishers of an ``event`` stream or its view; ``None``: publishers do not wait.

    Attributes:
        acks: the same.
        taps: called with each message that has been delivered, in order: views of the stream are computed from them.
        delivered: offset behind the last message that has been delivered; 0 for an inbox.
    """

    __slots__ = (
        "_broadcasts",
        "_classes",
        "_deltas",
        "_flusher",
        "_late_join",
        "_newest",
        "_queue",
        "_slices",
        "_table",
        "_text_classes",
        "_transcoder",
        "acks",
        "delivered",
        "source",
        "taps",
    )

    def __init__(
        self,
        source: Source,
        flusher: Flusher,
        workers: Workers,
        policy: DeliveryPolicy,
        history: HistoryReader,
        slices: Slices,
        acks: EventAcks | None = None,
    ) -> None:
        self.source = source
        self.acks = acks
        self.taps: dict[Callable[[Run | LargeMessage], object], None] = NO_ENTRIES
        self.delivered = source.next_offset if isinstance(source, Stream) else 0
        self._slices = slices
        self._queue = EncodeQueue(workers)
        self._deltas: DeltaEncoder | None = None
        if isinstance(source, Stream) and source.kind is Kind.STATE:
            self._deltas = DeltaEncoder(source, policy)
        self._transcoder = Transcoder(source, policy, self._queue, self._deltas, flusher)
        self._late_join = LateJoin(source, self._queue)
        self._table = ClassTable(source, flusher, history, acks)
        self._classes: dict[ClassKey, DeliveryClass] = self._table.by_key
        self._broadcasts: dict[int, Broadcast] = NO_ENTRIES
        self._text_classes = 0
        self._newest = source.newest if isinstance(source, Stream) else None
        """Newest version that has been delivered; that of the stream may wait in the encode queue."""

    @property
    def classes(self) -> list[DeliveryClass]:
        """The delivery classes that have members."""
        return list(self._classes.values())

    @property
    def delivered_messages(self) -> int:
        """Messages written to receivers or queued for them, each receiver counted."""
        return self._table.past_deliveries + sum([delivery.delivered_messages for delivery in self._classes.values()])

    @property
    def idle(self) -> bool:
        """True if nothing is being encoded or decoded."""
        return self._queue.idle

    @property
    def settled(self) -> bool:
        """True if nothing is encoded or uploaded, and nothing of the source waits in an outbox."""
        owes = not self._queue.idle or self._broadcasts or self.held_acks
        return not owes and all(delivery.settled for delivery in self._classes.values())

    @property
    def newest(self) -> Run | LargeMessage | None:
        """Newest version that has been delivered; ``None`` if there is none, and for other kinds."""
        return self._newest

    @property
    def all_lagging(self) -> bool:
        """True if there are receivers and none of them keeps up."""
        return bool(self._classes) and all(delivery.all_lagging for delivery in self._classes.values())

    @property
    def receivers(self) -> int:
        """Number of receivers."""
        return sum([len(delivery) for delivery in self._classes.values()])

    @property
    def queue_full(self) -> bool:
        """True if a receiver has no room for messages that must not be lost."""
        return any(delivery.queue_full for delivery in self._classes.values())

    def takes_turn(self, connection: Connection) -> bool:
        """Return False: only mailboxes may be full, and :mod:`gateway.connections.requests` keeps their turns."""
        return False

    def why_full(self) -> str:
        """Return who has no room: of receivers that do not acknowledge it is told no more."""
        return f"{self.source.name} has no room in its queue: try again later"

    # Receivers.

    def start(self, connection: Connection, since: Since | None) -> StartPosition:
        """Return the start position of a receiver that joins now: exact, as its class is flushed if it has one."""
        if (delivery := self._table.of(connection)) is not None:
            delivery.flush()
            delivery.book(connection)
        if not isinstance(self.source, Stream):
            return StartPosition(self.delivered, None, newest=False)
        return start_of(self.source, since, self.delivered)

    def join(self, connection: Connection, start: StartPosition, unkept: Run | LargeMessage | None = None) -> None:
        """Add a receiver, or another subscription of one: it gets the messages that it missed, then all that come.

        Args:
            connection: the receiver.
            start: from :meth:`start`; of a state, in the same turn.
            unkept: message that has just been delivered to the others, and that history may not keep; not of a state.
        """
        delivery = self._table.of(connection)
        if delivery is None:
            delivery = self._table.found(connection, self.delivered)
            self._text_classes = self._table.taking_text
            delivery.join(connection)
            connection.enter(self.source, delivery)
        if delivery.versions is None:
            kept = self.delivered if unkept is None else offsets_of(unkept)[0]
            if start.offset < kept:
                connection.backfill(self.source, start.offset, kept - 1)
            if unkept is not None:
                self._late_join.send(unkept, delivery, [connection])
        elif self._newest is None:
            # The first version refers to nothing.
            delivery.versions.keyframe_queued(connection)
        elif start.newest:
            self._late_join.send_newest([connection], delivery, self._newest)
        begun = {} if connection.outbox is None else connection.outbox.resumes
        for transfer in begun.keys() & self._broadcasts.keys():
            self._broadcasts[transfer].resume(connection, delivery)

    def leave(self, connection: Connection) -> None:
        """Remove a receiver."""
        for broadcast in self._broadcasts.values():
            broadcast.leave(connection)
        delivery = self._table.of(connection)
        if delivery is not None:
            # Before the outbox forgets the version that a pending delta refers to.
            delivery.flush()
        connection.leave(self.source)
        if delivery is not None:
            self._table.leave(connection, delivery)
            self._text_classes = self._table.taking_text

    def close(self, end: Callable[[Connection], object]) -> Iterator[None]:
        """Implement :meth:`~gateway.connections.fanout.fanout.Fanout.close`, one receiver a step."""
        if self.acks is not None:
            yield from self.acks.releasing()
        for member in [member for delivery in self.classes for member in delivery]:
            if self.source not in member.memberships:
                continue  # gone meanwhile
            for broadcast in self._broadcasts.values():
                broadcast.leave(member, Code.STREAM_ENDED)
            self.leave(member)
            end(member)
            yield

    def send_gap(self, gap: Gap) -> None:
        """Tell all receivers that messages will not come, in the place of those messages."""

        def tell() -> None:
            self.delivered = gap.last + 1
            for delivery in self.classes:
                delivery.flush()
                for member in list(delivery):
                    member.send_gap(self.source, gap)

        self._queue.add_ready(tell)

    def when_delivered(self, callback: Callable[[], object]) -> None:
        """Call back when all earlier messages are written to the receivers, or wait in their outboxes."""

        def flushed() -> None:
            for delivery in self._classes.values():
                delivery.flush()
            callback()

        self._queue.add_ready(flushed)

    def detach(self, connection: Connection) -> None:
        """Remove a receiver; when it comes back it names the offset to go on from."""
        self.leave(connection)

    # Acknowledgements to publishers.

    @property
    def held_acks(self) -> int:
        """Number of acknowledgements that are held back."""
        return 0 if self.acks is None else len(self.acks)

    def acknowledge(self, connection: Connection, ack: Ack) -> None:
        """Send a publisher its ACK: of an ``event`` when the message is delivered and no receiver is behind."""
        acks = self.acks
        if acks is None:
            connection.send(ack)
        elif ack.offset >= self.delivered:
            self._queue.add_ready(partial(acks.send, connection, ack))
        elif acks.holding:
            acks.send(connection, ack)
        else:
            connection.send(ack)

    def hold_back(self, reading: ReadingHolds) -> None:
        """Implement :meth:`~gateway.connections.fanout.fanout.Fanout.hold_back` by the queue of threads' work."""
        self._queue.hold_back(reading)

    def forget_publisher(self, connection: Connection) -> None:
        """Drop the acknowledgements to a publisher that is gone."""
        if self.acks is not None:
            self.acks.forget(connection)

    def release_acks(self) -> None:
        """Send all acknowledgements, and hold none back from now on."""
        if self.acks is not None:
            self.acks.release()

    # Small messages.

    def deliver(self, run: Run) -> None:
        """Deliver a run as it was published."""
        newest = None
        if self._deltas is not None:
            newest = self._deltas.latest = run.newest()
        if self._text_classes or not self._queue.idle:
            self._transcoder.write_text(run, self._classes, partial(self._add, run, newest))
        else:
            self._add(run, newest)

    def deliver_frame(self, run: Run, frame: DataFrame, publisher: int, element: DTypeLike) -> None:
        """Implement :meth:`~gateway.connections.fanout.fanout.Fanout.deliver_frame` by the transcoder."""
        names = frozenset() if frame.encoding is None else codec_names(frame.encoding.ids)
        chains = self.chains_for(names, frame.payload, element, frame.meta, frame.encoding)
        if not chains and not (names and not self._queue.idle):
            self.deliver(run)
            return
        patched = frame._replace(stream=run.source.id, publisher=publisher, offset=run.first)

        def deliver(made: Mapping[DeliveryClass, Run], text: Run | None) -> None:
            self.delivered = run.first + run.count
            if self._deltas is not None:
                self._newest = run.newest()
            for delivery in self.classes:
                # A class that was made meanwhile gets the message as it was published, or decoded.
                recoded = made.get(delivery)
                if text is not None and not delivery.format.takes_chunks:
                    delivery.add(text)
                elif recoded is not None or self._transcoder.chain_for(delivery, names, 0) is None:
                    delivery.add(recoded or run)
                else:
                    self._late_join.send_decoded(run, delivery)
            self._tell_taps(run)

        self._transcoder.submit(run, patched, chains, element, self._classes, deliver)

    def chains_for(
        self, names: frozenset[str], payload: Buffer, element: DTypeLike, meta: Buffer, encoding: Encoding | None = None
    ) -> dict[DeliveryClass, Chain]:
        """Implement :meth:`~gateway.connections.fanout.fanout.Fanout.chains_for` by the transcoder."""
        if decoded_bytes(payload, encoding) >= RECODE_BYTES:
            self._follow_tiers()
        return self._transcoder.chains_for(self._classes.values(), names, payload, element, meta, encoding)

    def _add(self, run: Run, newest: Run | None, text: Run | None = None) -> None:
        self._newest = newest
        self.delivered = run.first + run.count
        for delivery in self._classes.values():
            delivery.add(run if text is None or delivery.format.takes_chunks else text)
        if self.taps:
            self._tell_taps(run)

    # Large messages.

    def begin(self, message: LargeMessage, publisher_codecs: frozenset[str], element: DTypeLike) -> Broadcast:
        """Implement :meth:`~gateway.connections.fanout.fanout.Fanout.begin` by a broadcast."""
        broadcast = Broadcast(message, self, self._queue, element, publisher_codecs, self._table)
        self._broadcasts = with_entry(self._broadcasts, message.plan.transfer, broadcast)
        return broadcast

    def start_broadcast(self, broadcast: Broadcast, first: StoredChunk) -> None:
        """Choose the encoding of each delivery class, by a sample of the first chunk."""
        self._follow_tiers()
        self._transcoder.observe(first.data, broadcast.element, broadcast.message.meta, first.encoding)
        self._transcoder.begin(broadcast, first, self._classes.values())

    def commit_broadcast(self, broadcast: Broadcast) -> None:
        """Take note that a message is complete: of a state, the next version may be encoded against it."""
        if self._deltas is not None:
            self._deltas.latest = broadcast.message

    def drop_broadcast(self, broadcast: Broadcast) -> None:
        """Forget a message that will not be completed."""
        self._broadcasts.pop(broadcast.message.plan.transfer, None)
        if self._table.moving:
            self._slices.add(self._move)

    def finish_broadcast(self, broadcast: Broadcast) -> None:
        """Deliver a complete message to all members that did not get it chunk by chunk."""
        message = broadcast.message
        del self._broadcasts[message.plan.transfer]
        if message.offset is not None:
            self.delivered = message.offset + 1
        self._transcoder.report(broadcast.outcomes)
        before = self._newest
        if self._deltas is not None:
            self._newest = message
        has_base = before is not None and message.base_offset == offsets_of(before)[1]
        served = {member for part in broadcast.parts for member in part.audience}
        for delivery in self.classes:
            delivery.flush()
            others = [member for member in delivery if member not in served]
            if has_base:
                others = broadcast.send_deltas(delivery, others)
            self._late_join.send(message, delivery, others)
        self._tell_taps(message)
        if self._table.moving:
            self._slices.add(self._move)

    # Receivers that move to another delivery class.

    def _follow_tiers(self) -> None:
        """Have receivers change their classes, if it pays to tell their link tiers apart, or no more."""
        if self._table.follow(tells_apart=self._transcoder.tells_apart):
            self._move()

    def _move(self) -> bool:
        """Move some receivers at the border of two messages, and others later."""
        self._queue.add_ready(self._move_some)
        return False

    def _move_some(self) -> None:
        if self._table.move(self.delivered, self._broadcasts.values()):
            self._slices.add(self._move)

    def _tell_taps(self, message: Run | LargeMessage) -> None:
        """Hand a message that has been delivered to the taps, which may add and remove taps."""
        for tap in list(self.taps):
            tap(message)
