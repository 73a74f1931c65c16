"""Progress of a consumer in a stream that it acknowledges (spec section 4.9)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from gateway.ids import ClientId
from gateway.streams.history import Entry

MAX_BEYOND: Final = 1024
"""Settled ranges beyond the first unsettled offset that a mark holds: a store writes the mark whenever it moves."""

Range = tuple[int, int]
"""First and last offset."""


class Mark(NamedTuple):
    """Progress of a consumer at one moment."""

    next_offset: int
    """Every offset before it is settled."""
    beyond: tuple[Range, ...] = ()
    """Settled ranges beyond it, in order; the first :data:`MAX_BEYOND` of them, the others count as not settled."""


class Unsettled(NamedTuple):
    """Messages of a stream that its consumers had not settled when the gateway ended."""

    marks: Mapping[ClientId, Mark]
    """Progress of each consumer."""
    entries: Iterable[Entry]
    """Messages that at least one of them has not settled, in order: runs of one frame, and large messages."""
    shift_ns: Callable[[int], int] = lambda offset: 0
    """Function that returns, by offset, how much later than written a deadline is by the gateway's present clock."""


class ConsumerProgress:
    """Offsets of a stream that a consumer has settled: all before one offset, and some beyond it.

    Args:
        mark: progress to begin with.

    Attributes:
        next_offset: the first offset that is not settled.
    """

    __slots__ = ("_beyond", "next_offset")

    def __init__(self, mark: Mark) -> None:
        self.next_offset = mark.next_offset
        self._beyond: list[Range] = list(mark.beyond)
        """Settled ranges beyond ``next_offset``, in order; no two of them touch."""

    def settle(self, first: int, last: int) -> None:
        """Settle the offsets ``first .. last``, none of which was settled before."""
        beyond = self._beyond
        if first == self.next_offset:
            self.next_offset = last + 1
            if beyond and beyond[0][0] == last + 1:
                self.next_offset = beyond.pop(0)[1] + 1
            return
        at = bisect_left(beyond, (first, last))
        if at < len(beyond) and beyond[at][0] == last + 1:
            last = beyond.pop(at)[1]
        if at and beyond[at - 1][1] + 1 == first:
            beyond[at - 1] = beyond[at - 1][0], last
        else:
            beyond.insert(at, (first, last))

    def covers(self, first: int, last: int) -> bool:
        """Return whether all offsets ``first .. last`` are settled."""
        if last < self.next_offset:
            return True
        at = bisect_left(self._beyond, (first + 1,)) - 1
        return at >= 0 and self._beyond[at][1] >= last

    def mark(self) -> Mark:
        """Return the progress as it is now."""
        return Mark(self.next_offset, tuple(self._beyond[:MAX_BEYOND]))
