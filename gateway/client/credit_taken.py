"""Credit taken: what messages that arrive take of the credit of subscriptions, on one session (spec section 7.5).

Only for a client whose credit counts for all streams. Acknowledged messages free their credit with their answers. One
that is on its way in, or is being decoded, waits as one in the buffer of a subscription does.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.client.messages.receive_buffer import OnTheWay
from gateway.client.session.session import Handler
from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.errors import PeerError
from gateway.protocol.data import parse_data
from gateway.protocol.frames import Frame, body_of
from gateway.protocol.messages import StreamInfo
from gateway.protocol.reorder_buffer import ReorderBuffer
from gateway.protocol.session_body import parse_session
from gateway.protocol.signals import Abort, End
from gateway.protocol.wire import DATA_HEADER


class Undecoded(NamedTuple):
    """Message that is not decoded yet."""

    nbytes: int
    order: ReorderBuffer
    """Buffer that keeps the messages of its stream in order."""
    taken: list[tuple[weakref.ref[SubscriptionCore], OnTheWay | None]]
    """Subscriptions whose credit it has taken, and their counts."""

    def end(self) -> None:
        """Take note that it is decoded, or does not come."""
        for reference, counted in self.taken:
            subscription = reference()
            if subscription is not None and counted is not None:
                subscription.has_decoded(counted, self.nbytes)


class CreditTaken:
    """Streams without acknowledgements that subscriptions with credit receive on one session.

    Args:
        subscriptions: all subscriptions of the client, and their numbers.
        order_of: function that returns the buffer which keeps the messages of a stream in order, by its id.
        max_transfers: large messages that may be on their way in.
    """

    def __init__(
        self,
        subscriptions: Mapping[SubscriptionCore, int],
        order_of: Callable[[int], ReorderBuffer | None],
        max_transfers: int,
    ) -> None:
        self._subscriptions = subscriptions
        self._order_of = order_of
        self._max_transfers = max_transfers
        self._transfers: dict[int, Undecoded] = {}
        """Large messages on their way in."""
        self._receiving: dict[int, weakref.WeakSet[SubscriptionCore]] = {}
        """Subscriptions whose credit the messages of a stream take, by its id."""

    def stream_received(self, handle: Handler, message: memoryview, frame: Frame) -> None:
        """Handle STREAM, from which on the messages of a stream take the credit of the subscriptions that it is for."""
        info = parse_session(frame.opcode, body_of(message, frame))
        assert isinstance(info, StreamInfo)
        if info.lowered is not None:
            self._give_way(info)
        handle(message, frame)
        if info.id is None or info.alias is not None:
            return
        if info.ended is not None:
            self._receiving.pop(info.id, None)
        elif info.observed or (info.kind is not None and not info.kind.acknowledged):
            receiving = self._receiving.setdefault(info.id, weakref.WeakSet())
            receiving.update([core for core, number in self._subscriptions.items() if _is_for(info, core, number)])

    def message_received(self, handle: Handler, message: memoryview, frame: Frame) -> None:
        """Handle MESSAGE or BATCH, and count it."""
        handle(message, frame)
        receiving = self._receiving.get(DATA_HEADER.unpack_from(message, frame.start)[4])
        if not receiving:
            return
        try:
            data = parse_data(message, frame)
        except PeerError:
            return  # the gateway could not count it either
        nbytes, plan, order = data.decoded_bytes, data.plan, self._order_of(data.stream)
        begins = plan is not None and len(self._transfers) < self._max_transfers
        if order is None or (order.idle and not begins):
            for subscription in receiving:
                subscription.take_credit(nbytes)
            return
        undecoded = Undecoded(nbytes, order, [(weakref.ref(each), each.expect(nbytes)) for each in receiving])
        if plan is not None and begins:
            self._transfers[plan.transfer] = undecoded
        else:
            order.add_ready(undecoded.end)  # behind the message

    def end_received(self, handle: Handler, message: memoryview, frame: Frame) -> None:
        """Handle END: a large message waits until its last chunk is decoded."""
        handle(message, frame)
        undecoded = self._transfers.pop(End.parse(message, frame).transfer, None)
        if undecoded is not None:
            undecoded.order.add_ready(undecoded.end)

    def abort_received(self, handle: Handler, message: memoryview, frame: Frame) -> None:
        """Handle ABORT: a large message does not come."""
        handle(message, frame)
        undecoded = self._transfers.pop(Abort.parse(message, frame).transfer, None)
        if undecoded is not None:
            undecoded.end()

    def _give_way(self, info: StreamInfo) -> None:
        """Take credit by one view of a stream no more, in the place of which another one comes."""
        for core, number in self._subscriptions.items():
            before = core.view_ids.get(info.stream) if number == info.subscription else None
            receiving = None if before is None else self._receiving.get(before)
            if before is not None and receiving is not None:
                receiving.discard(core)
                if not receiving:
                    del self._receiving[before]


def _is_for(info: StreamInfo, subscription: SubscriptionCore, number: int) -> bool:
    """Return whether STREAM announces a stream to a subscription that has credit of its own."""
    if subscription.ack_scope.window is None or not subscription.position.joined:
        return False
    if info.subscription is not None:
        return info.subscription == number
    return subscription.view is None and subscription.pattern.matches(info.stream)
