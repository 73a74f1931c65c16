"""Expiry of streams: those that nobody has, and that keep no message, end after the time that their rule names."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final

from gateway.connections.slices import Slices
from gateway.shrinking import Shrinking
from gateway.streams.stream import Stream

LOOKS: Final = 4
"""A stream that may not expire yet is looked at again after this fraction of its time."""

LEAST_LOOK_S: Final = 1.0
"""Least time between two looks at a stream: there may be 100 000."""


class Expiry:
    """Streams with ``expires_after_s`` to which no alias is bound, in the order in which they are looked at.

    Args:
        now_s: seconds by the monotonic clock.
        slices: turns of the loop for the looks.
        is_free: returns whether a stream to which no alias is bound is empty, and nobody has it.
        end: ends a stream that has expired.
    """

    def __init__(
        self,
        now_s: Callable[[], float],
        slices: Slices,
        is_free: Callable[[Stream], bool],
        end: Callable[[Stream], object],
    ) -> None:
        self._now_s = now_s
        self._slices = slices
        self._is_free = is_free
        self._end = end
        self._due: list[tuple[float, int, Stream]] = []
        """Heap of the times of the next looks; the number keeps streams from being compared."""
        self._numbers = count()
        self._since_s: dict[Stream, float | None] = {}
        """Times from which the streams in the heap have been free; ``None``: it is not known that they are."""
        self._shrinking = Shrinking(self._since_s)

    def __len__(self) -> int:
        return len(self._due)

    def watch(self, stream: Stream) -> None:
        """Have a stream expire to which no alias is bound any more, or that is new."""
        expires_after_s = stream.config.expires_after_s
        if expires_after_s is None:
            return
        since_s = self._now_s() if self._is_free(stream) else None
        if stream not in self._since_s:
            self._look_in(stream, _look_s(expires_after_s) if since_s is None else expires_after_s)
        self._since_s[stream] = since_s

    def use(self, stream: Stream) -> None:
        """Note that an alias is bound to a stream, or that a subscription names it: its time begins anew."""
        if stream in self._since_s:
            self._since_s[stream] = None

    def sweep(self) -> None:
        """End the streams that have expired, bit by bit; to be called about once a second."""
        if self._due and self._due[0][0] <= self._now_s():
            self._slices.add(self._step)

    def _step(self) -> bool:
        """Look at one stream: a look takes longer the more receivers the stream has."""
        now_s = self._now_s()
        if not self._due or self._due[0][0] > now_s:
            return False
        _, _, stream = heappop(self._due)
        self._look(stream, self._since_s.pop(stream), now_s)
        self._shrinking.note()
        return True

    def _look(self, stream: Stream, since_s: float | None, now_s: float) -> None:
        expires_after_s = stream.config.expires_after_s
        if expires_after_s is None or stream.ended is not None or stream.aliases:
            return
        if not self._is_free(stream):
            self._since_s[stream] = None
            self._look_in(stream, _look_s(expires_after_s))
        elif since_s is not None and now_s - since_s >= expires_after_s:
            self._end(stream)
        else:
            self._since_s[stream] = since_s = now_s if since_s is None else since_s
            self._look_in(stream, since_s + expires_after_s - now_s)

    def _look_in(self, stream: Stream, delay_s: float) -> None:
        heappush(self._due, (self._now_s() + delay_s, next(self._numbers), stream))


def _look_s(expires_after_s: float) -> float:
    return max(expires_after_s / LOOKS, LEAST_LOOK_S)
