"""Receiver load: cost of the messages that a client gets, and messages that its program has not taken yet."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.client.decoding.decode_meter import DecodeMeter
from gateway.client.session.session import Session
from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.client.subscribing.told_positions import ToldPositions
from gateway.protocol.signals import ReceiverReport


class ReceiverLoad:
    """Load of one client, over all its connections.

    Args:
        subscriptions: all subscriptions of the client, and their numbers.

    Attributes:
        subscriptions: the same.
        meter: decode time; shared with the decoding of each session.
        positions: streams in which the program is behind.
    """

    def __init__(self, subscriptions: Mapping[SubscriptionCore, int]) -> None:
        self.subscriptions = subscriptions
        self.meter = DecodeMeter()
        self.positions = ToldPositions()
        self._told = (0, 0)
        self._told_unread = False

    @property
    def decode_s_per_byte(self) -> float | None:
        """Mean time to decode a byte so far; ``None``: every payload was plain."""
        nbytes, spent_ns = self.meter.sums()
        return spent_ns / 1e9 / nbytes if nbytes else None

    def unread(self, now_ns: int) -> tuple[int, int]:
        """Return the bytes that the program has not taken, and the age of the oldest message among them in ns.

        Args:
            now_ns: time by the gateway's clock.
        """
        unread_bytes, oldest_ns = 0, now_ns
        for subscription in list(self.subscriptions):
            nbytes, since_ns = subscription.unread()
            if since_ns is not None:
                unread_bytes += nbytes
                oldest_ns = min(oldest_ns, since_ns)
        return unread_bytes, now_ns - oldest_ns

    def report(self, session: Session | None) -> None:
        """Tell the gateway of the load since the last report, if there was any (spec section 7.10)."""
        if session is None or not session.open:
            return
        sums = self.meter.sums()
        unread_bytes, unread_ns = self.unread(session.now_ns())
        if sums != self._told or unread_bytes or self._told_unread:
            decoded_bytes, decode_ns = sums[0] - self._told[0], sums[1] - self._told[1]
            if unread_bytes:
                positions = self.positions.changed(list(self.subscriptions))
            else:
                positions = ()
                self.positions.forget()
            session.send((ReceiverReport(decoded_bytes, decode_ns, unread_bytes, unread_ns, positions).write(),))
        self._told, self._told_unread = sums, bool(unread_bytes)
