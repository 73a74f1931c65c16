"""Stream sink: gives the messages of a stream to the subscriptions that match the stream."""

from __future__ import annotations

import weakref

from gateway.client.decoding.delta_bases import DeltaBases
from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.decoding.repeated_head import RepeatedHead
from gateway.client.messages.message import Message
from gateway.client.messages.message_run import MessageRun
from gateway.client.messages.record_batch import RecordBatch
from gateway.client.report import call_back
from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.client.subscribing.subscription_position import Gap, StreamEnded
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.reorder_buffer import ReorderBuffer
from gateway.protocol.wire import Buffer

Reference = weakref.ref[SubscriptionCore]


class EndingSinks:
    """Sinks of streams that have ended and of which messages are still decoded.

    The next stream of the name begins behind them, as its first message came behind their end. Views are left out.
    """

    def __init__(self) -> None:
        self._by_stream: dict[str, StreamSink] = {}

    def add(self, sink: StreamSink) -> None:
        """Take note of a stream that has ended."""
        if sink.numbers is None and not sink.order.idle:
            self._by_stream[sink.stream] = sink
            sink.order.add_ready(lambda: self._over(sink))

    def precede(self, sink: StreamSink) -> None:
        """Have everything of a new stream wait until that is done which came before of its name."""
        before = self._by_stream.get(sink.stream)
        if before is not None and sink.numbers is None:
            slot = sink.order.reserve()
            before.order.add_ready(lambda: slot.fill(lambda: None))

    def _over(self, sink: StreamSink) -> None:
        if self._by_stream.get(sink.stream) is sink:
            del self._by_stream[sink.stream]


def take_place(
    sinks: dict[int, StreamSink], sink: StreamSink, info: StreamInfo, wanting: list[tuple[int, SubscriptionCore]]
) -> None:
    """Have a view come to a subscription that has named two in the place of the other, behind all messages of that one.

    Args:
        sinks: of the session, by id; that of a view which no subscription gets any more is taken out.
        sink: of the view.
        info: STREAM, which names the subscription.
        wanting: subscriptions that get the view, by number.
    """
    if info.lowered is None or info.id is None:
        return
    for number, core in wanting:
        if number != info.subscription:
            continue
        before_id, core.view_ids[info.stream] = core.view_ids.get(info.stream, info.id), info.id
        before = sinks.get(before_id)
        if before is None or before is sink or before.stream != sink.stream or not before.numbers:
            continue
        before.numbers.discard(number)
        if not before.numbers:
            del sinks[before_id]
        before.give_way(sink, weakref.ref(core))


class StreamSink:
    """Stream of the present session, and its subscriptions."""

    __slots__ = ("bases", "epoch", "head", "kind", "numbers", "order", "stream", "subscriptions")

    def __init__(self, info: StreamInfo) -> None:
        self.stream = info.stream
        self.kind: Kind | None = info.kind
        self.epoch = info.epoch or 0
        self.order = ReorderBuffer()
        self.bases: DeltaBases | None = None
        """Versions of a state that deltas refer to; ``None`` for other kinds."""
        self.numbers: set[int] | None = None if info.subscription is None else set()
        """Numbers of the subscriptions to a view (spec section 4.5), or that observe; ``None``: patterns decide."""
        self.subscriptions: tuple[Reference, ...] = ()
        self.head: RepeatedHead | None = None
        """Head of the last message, if one with the same may be given as it is; of streams without acknowledgements."""

    def serves(self, observes: bool) -> bool:
        """Return whether the patterns of subscriptions decide which of them get the stream.

        Args:
            observes: of subscriptions that observe acknowledged streams, or of the others.
        """
        return self.numbers is None

    def add(self, reference: Reference) -> None:
        """Give a subscription the messages from now on; does nothing if it gets them already."""
        if reference not in self.subscriptions:
            self.subscriptions = (*self.subscriptions, reference)

    def remove(self, reference: Reference) -> None:
        """Give a subscription no more messages."""
        self.subscriptions = tuple([other for other in self.subscriptions if other is not reference])

    def give_way(self, other: StreamSink, reference: Reference) -> None:
        """Have another view of the stream come to a subscription from now on, behind all messages of this one."""
        slot = other.order.reserve()

        def over() -> None:
            self.remove(reference)
            slot.fill(lambda: None)

        self.order.add_ready(over)

    def deliver(self, inbound: InboundFrame, payload: Buffer) -> None:
        """Make a decoded message once and give it to all subscriptions."""
        self.head = RepeatedHead.of(inbound)
        self.give(inbound.item(self.stream, self.kind, self.epoch, payload))

    def deliver_alike(self, offset: int, timestamp_ns: int, received_ns: int, payload: memoryview) -> None:
        """Give a message that has the head of the last one to all subscriptions."""
        head = self.head
        assert head is not None
        item = Message(
            self.stream,
            self.kind,
            self.epoch,
            offset,
            head.publisher,
            timestamp_ns,
            received_ns,
            None,
            head.specs,
            payload,
        )
        if self.order.idle:
            self.give(item)
        else:
            self.order.add_ready(lambda: self.give(item))

    def give(self, item: Message | RecordBatch) -> None:
        """Give an item to all subscriptions."""
        for reference in self.subscriptions:
            subscription = reference()
            if subscription is not None:
                subscription.deliver(item)

    def deliver_run(self, run: MessageRun) -> None:
        """Give messages that arrived together to all subscriptions."""
        for subscription in self.present():
            subscription.deliver_run(run)

    def present(self) -> list[SubscriptionCore]:
        """Return the subscriptions that the application still holds."""
        return [subscription for reference in self.subscriptions if (subscription := reference()) is not None]

    def fail(self, error: Exception, inbound: InboundFrame | None) -> None:
        """Report a message that cannot be decoded, or was aborted."""
        if type(error) is RequestRefused:  # a subclass is acted on
            if error.code == Code.STREAM_ENDED:  # no message of the stream comes any more, as its end tells
                return
            error = RequestRefused(error.code, f"{self.stream}: {error.message}")
        for subscription in self.present():
            if inbound is None or not inbound.offset_known:
                subscription.fail(error)
            else:
                subscription.fail_at(error, self.stream, self.epoch, inbound.offset, inbound.frame.count)

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        """Report the progress of a large message."""
        for subscription in self.present():
            if subscription.progress is not None:
                call_back(subscription.progress, self.stream, received_bytes, payload_bytes)

    def announce(self, subscriptions: list[SubscriptionCore], info: StreamInfo) -> None:
        """Give the subscriptions the messages from an offset on, and tell them which (STREAM, spec section 4.3)."""
        for subscription in subscriptions:
            self.add(weakref.ref(subscription))
            subscription.position.announce(info)

    def replay(self, first: int, last: int) -> None:
        """Record that offsets come from history, or once more (REPLAY, spec section 7.3)."""
        for subscription in self.present():
            subscription.position.replay(self.stream, first, last)

    def end(self, ended: StreamEnded, number: int) -> None:
        """Tell the subscriptions that the stream, of this id, has ended (spec section 4.11)."""
        for subscription in self.present():
            subscription.position.end(ended, number)
            if subscription.view_ids.get(self.stream) == number:
                del subscription.view_ids[self.stream]

    def skip(self, gap: Gap) -> None:
        """Record a gap (GAP, spec section 7.2)."""
        for subscription in self.present():
            subscription.position.skip(gap, self.epoch)
