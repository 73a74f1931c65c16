"""Where the messages of a stream go: to the subscriptions that match it."""

from __future__ import annotations

import weakref

from gateway.client.decoding.delta_bases import DeltaBases
from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.message import Message
from gateway.client.messages.message_run import MessageRun
from gateway.client.messages.record_batch import RecordBatch
from gateway.client.report import call_back
from gateway.client.subscribing.subscription import Subscription
from gateway.client.subscribing.subscription_position import Gap
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.reorder_buffer import ReorderBuffer
from gateway.protocol.wire import Buffer

Reference = weakref.ref[Subscription]


class StreamSink:
    """A stream of the present session, and the subscriptions that it goes to."""

    __slots__ = ("bases", "epoch", "kind", "numbers", "order", "stream", "subscriptions")

    def __init__(self, info: StreamInfo) -> None:
        self.stream = info.stream
        self.kind: Kind | None = info.kind
        self.epoch = info.epoch or 0
        self.order = ReorderBuffer()
        self.bases: DeltaBases | None = None
        """Of a state: what deltas refer to."""
        self.numbers: set[int] | None = None if info.subscription is None else set()
        """Of a view: the subscriptions that asked for it (spec section 4.5). Others go by their patterns."""
        self.subscriptions: list[Reference] = []

    def deliver(self, arrival: InboundFrame, payload: Buffer) -> None:
        """A message of the stream, decoded: made once, given to all."""
        self.give(arrival.item(self.stream, self.kind, self.epoch, payload))

    def give(self, item: Message | RecordBatch) -> None:
        """Give an item to all subscriptions."""
        for reference in self.subscriptions:
            subscription = reference()
            if subscription is not None:
                subscription.deliver(item)

    def deliver_run(self, run: MessageRun) -> None:
        """Messages of the stream that came together, to all subscriptions."""
        for subscription in self.present():
            subscription.deliver_run(run)

    def present(self) -> list[Subscription]:
        """The subscriptions that are still held by the application."""
        return [subscription for reference in self.subscriptions if (subscription := reference()) is not None]

    def fail(self, error: Exception, arrival: InboundFrame | None) -> None:
        """A message of the stream that cannot be decoded, or was ended early."""
        for subscription in self.present():
            if arrival is None or not arrival.placed:
                subscription.fail(error)
            else:
                subscription.fail_at(error, self.stream, self.epoch, arrival.offset, arrival.frame.count)

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        """A large message grows."""
        for subscription in self.present():
            if subscription.progress is not None:
                call_back(subscription.progress, self.stream, received_bytes, payload_bytes)

    def announce(self, subscriptions: list[Subscription], info: StreamInfo) -> None:
        """STREAM, to these subscriptions: from which offset on messages come (spec section 4.3)."""
        for subscription in subscriptions:
            subscription.standing.announce(info)

    def replay(self, first: int, last: int) -> None:
        """The gateway announced that these offsets come from history, or once more (spec section 7.3)."""
        for subscription in self.present():
            subscription.standing.replay(self.stream, first, last)

    def skip(self, gap: Gap) -> None:
        """The gateway announced a gap (spec section 7.2)."""
        for subscription in self.present():
            subscription.standing.skip(gap, self.epoch)
