"""Credit taken: what messages that arrive take of the credit of subscriptions, on one session (spec section 7.5).

Only for a client whose credit counts for all streams. Acknowledged messages free their credit with their answers. One
that is being decoded counts as taken: the socket is not read while many of these wait.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping

from gateway.client.session.session import Handler
from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.errors import PeerError
from gateway.protocol.data import parse_data
from gateway.protocol.frames import Frame, body_of
from gateway.protocol.messages import StreamInfo
from gateway.protocol.session_body import parse_session
from gateway.protocol.wire import DATA_HEADER


class CreditTaken:
    """Streams without acknowledgements that subscriptions with credit receive on one session.

    Args:
        subscriptions: all subscriptions of the client, and their numbers.
    """

    def __init__(self, subscriptions: Mapping[SubscriptionCore, int]) -> None:
        self._subscriptions = subscriptions
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
            nbytes = parse_data(message, frame).decoded_bytes
        except PeerError:
            return  # the gateway could not count it either
        for subscription in receiving:
            subscription.take_credit(nbytes)

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
