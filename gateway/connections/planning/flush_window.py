"""Flush window: time for which delivery classes collect small messages, instead of until the end of the turn."""

from __future__ import annotations

from gateway.connections.fanout.delivery_class import MANY_OWED, DeliveryClass, Flusher
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.ports import Clock


class WindowedFlusher(Flusher):
    """Flusher that waits for a window to pass. Classes with a flusher of their own cost a message nothing more.

    Deliveries to outboxes take time for each message, written together or not. When many are owed, the classes are
    flushed as those without a window.

    Args:
        flusher: flushes the classes without a window; a turn's time for flushes is for both.
        clock: ends windows.
        window_s: length of the window, from the first message on.
    """

    __slots__ = ("_clock", "_flusher", "_owed", "window_s")

    def __init__(self, flusher: Flusher, clock: Clock, window_s: float) -> None:
        super().__init__(clock, flusher.lag_changes)
        self.turns = flusher.turns
        self._clock = clock
        self._flusher = flusher
        self.window_s = window_s

    @property
    def owed(self) -> int:
        """Deliveries to outboxes since the last flush; setting many of them ends the window."""
        return self._owed

    @owed.setter
    def owed(self, owed: int) -> None:
        self._owed = owed
        if owed > MANY_OWED:
            waiting, self._waiting, self._owed = self._waiting, [], 0
            for delivery in waiting:
                self._flusher.schedule(delivery)
            self._flusher.owed += owed

    def schedule(self, delivery: DeliveryClass) -> None:
        """Flush a class when the window has passed."""
        if not self._waiting:
            self._clock.call_later(self.window_s, self.flush)
        self._waiting.append(delivery)


def flush_by(fanout: PubSubFanout, flusher: Flusher) -> None:
    """Have the classes of a stream flushed by another flusher, from their next message on."""
    for delivery in fanout.classes:
        delivery.flusher = flusher
