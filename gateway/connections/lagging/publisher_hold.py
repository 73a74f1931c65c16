"""Publisher hold: how long publishers wait for one receiver that is behind (spec section 7.1)."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from gateway.connections.ports import Clock
from gateway.connections.slices import Slices


class PublisherHold:
    """Time for which publishers wait for one receiver.

    A receiver is behind while more waits for it than its bound lets wait. Publishers wait for it until it has caught
    up, or counts as slow: it has taken less than ``least_bytes`` in ``max_hold_s``. A slow receiver holds no publisher
    up before it has caught up once. The class reads no clock: its caller passes the time.

    Args:
        max_hold_s: time in which a receiver that is behind has to take ``least_bytes``; 0: every receiver counts as
            slow from the start.
        least_bytes: bytes that a receiver takes in that time if it is not slow.

    Attributes:
        least_bytes, max_hold_s: the same.
        slow: whether the receiver counts as slow.
        timed: whether :meth:`check` is going to be called; kept by the caller.
    """

    __slots__ = ("_since_s", "_taken_bytes", "least_bytes", "max_hold_s", "slow", "timed")

    def __init__(self, max_hold_s: float, least_bytes: int) -> None:
        self.slow = not max_hold_s
        self.timed = False
        self.max_hold_s = max_hold_s
        self.least_bytes = least_bytes
        self._since_s: float | None = None
        """Time since which it has been behind, or at which it had taken ``least_bytes`` again; ``None``: it is not."""
        self._taken_bytes = 0
        """Bytes that it had taken by then."""

    @property
    def behind(self) -> bool:
        """Whether the receiver is behind."""
        return self._since_s is not None

    def update(self, taken_bytes: int, now_s: float, *, behind: bool) -> None:
        """Note whether too much waits for the receiver.

        Args:
            taken_bytes: bytes that the receiver has taken so far.
            now_s: seconds from some fixed moment.
            behind: whether it is behind; if not, it has caught up.
        """
        if not behind:
            self._since_s, self.slow = None, not self.max_hold_s
        elif self._since_s is None:
            self._since_s, self._taken_bytes = now_s, taken_bytes

    def check(self, taken_bytes: int, now_s: float) -> float | None:
        """Find out whether the receiver counts as slow now.

        Returns:
            Seconds until the next check; ``None``: there is nothing to check before the receiver is behind again.
        """
        if self._since_s is None:
            return None
        left_s = self._since_s + self.max_hold_s - now_s
        if left_s > 0:
            return left_s
        if taken_bytes - self._taken_bytes < self.least_bytes:
            self.slow = True
            return None
        self._since_s, self._taken_bytes = now_s, taken_bytes
        return self.max_hold_s


class Waited(Protocol):
    """Outbox of a receiver for which publishers may wait."""

    hold: PublisherHold
    taken_bytes: int
    """Bytes that the receiver has taken so far."""

    @property
    def behind(self) -> bool:
        """Whether too much waits for the receiver."""

    def let_go(self) -> None:
        """Look whether publishers need not wait any more."""

    def give_up(self) -> bool:
        """Take a step of leaving to history what exceeds the bound; return whether there is more to do."""


def hold_publishers(outbox: Waited, clock: Clock, slices: Slices) -> None:
    """Have publishers of ``event`` streams wait for a receiver while it is behind, until it counts as slow.

    Args:
        outbox: of the receiver; something has changed in it.
        clock: measures for how long it is behind.
        slices: drop what is left to history when it counts as slow.
    """
    hold, behind = outbox.hold, outbox.behind
    if behind or hold.behind:
        hold.update(outbox.taken_bytes, clock.monotonic_s(), behind=behind)
        if hold.behind and not hold.slow and not hold.timed:
            hold.timed = True
            clock.call_later(hold.max_hold_s, partial(_check, outbox, clock, slices))
    outbox.let_go()


def _check(outbox: Waited, clock: Clock, slices: Slices) -> None:
    """Find out whether a receiver counts as slow."""
    hold = outbox.hold
    left_s = hold.check(outbox.taken_bytes, clock.monotonic_s())
    hold.timed = left_s is not None
    if left_s is not None:
        clock.call_later(left_s, partial(_check, outbox, clock, slices))
    elif hold.slow:
        outbox.let_go()
        slices.add(outbox.give_up)
