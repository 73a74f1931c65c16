"""Publisher hold: the streams whose publishers wait for one receiver that is behind (spec section 7.1)."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from gateway.streams.run import Source


class HoldChange(NamedTuple):
    """Streams whose publishers wait from now on, and streams whose publishers wait no more."""

    begun: list[Source]
    ended: list[Source]


class PublisherHold:
    """Streams whose publishers wait for one receiver.

    A receiver is behind while more waits for it than its bound lets wait. Publishers wait for it until it has caught
    up, or counts as slow: it has taken less than ``least_bytes`` in ``max_hold_s``. A slow receiver holds no publisher
    up before it has caught up once. The class reads no clock: its caller passes the time.

    Args:
        max_hold_s: time in which a receiver that is behind has to take ``least_bytes``; 0: every receiver counts as
            slow from the start.
        least_bytes: bytes that a receiver takes in that time if it is not slow.

    Attributes:
        slow: whether the receiver counts as slow.
        timed: whether :meth:`check` is going to be called; kept by the caller.
    """

    __slots__ = ("_least_bytes", "_max_hold_s", "_since_s", "_sources", "_taken_bytes", "slow", "timed")

    def __init__(self, max_hold_s: float, least_bytes: int) -> None:
        self.slow = not max_hold_s
        self.timed = False
        self._max_hold_s = max_hold_s
        self._least_bytes = least_bytes
        self._since_s: float | None = None
        """Time since which it has been behind, or at which it had taken ``least_bytes`` again; ``None``: it is not."""
        self._taken_bytes = 0
        """Bytes that it had taken by then."""
        self._sources: dict[Source, None] = {}

    @property
    def behind(self) -> bool:
        """Whether the receiver is behind."""
        return self._since_s is not None

    def update(self, behind: Collection[Source], taken_bytes: int, now_s: float) -> HoldChange:
        """Note the streams of which too much waits for the receiver.

        Args:
            behind: the streams; none: the receiver has caught up.
            taken_bytes: bytes that the receiver has taken so far.
            now_s: seconds from some fixed moment.
        """
        if not behind:
            self._since_s, self.slow = None, not self._max_hold_s
        elif self._since_s is None:
            self._since_s, self._taken_bytes = now_s, taken_bytes
        wanted = dict.fromkeys(() if self.slow else behind)
        before, self._sources = self._sources, wanted
        return HoldChange(
            [source for source in wanted if source not in before],
            [source for source in before if source not in wanted],
        )

    def check(self, taken_bytes: int, now_s: float) -> float | None:
        """Find out whether the receiver counts as slow now; if so, :meth:`update` has to follow.

        Returns:
            Seconds until the next check; ``None``: there is nothing to check before the receiver is behind again.
        """
        if self._since_s is None:
            return None
        left_s = self._since_s + self._max_hold_s - now_s
        if left_s > 0:
            return left_s
        if taken_bytes - self._taken_bytes < self._least_bytes:
            self.slow = True
            return None
        self._since_s, self._taken_bytes = now_s, taken_bytes
        return self._max_hold_s
