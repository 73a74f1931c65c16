"""How far a receiver that acknowledges has got in a stream (spec section 4.9)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from gateway.ids import ClientId
from gateway.streams.history import Entry

MAX_BEYOND: Final = 1024
"""Ranges behind the first open offset that a mark tells: a store writes it whenever it moves."""

Range = tuple[int, int]
"""First and last offset."""


class Mark(NamedTuple):
    """The progress at one moment.

    Attributes:
        next_offset: everything before it is settled.
        beyond: ranges behind it that are settled as well, in order. Of more than :data:`MAX_BEYOND` the first ones:
            what is left out counts as not settled.
    """

    next_offset: int
    beyond: tuple[Range, ...] = ()


class Unsettled(NamedTuple):
    """What the receivers of a stream had still to get when the gateway ended.

    Attributes:
        marks: by client, how far it had got.
        entries: what one of them at least has not settled, in order: runs of one frame, and large messages.
    """

    marks: Mapping[ClientId, Mark]
    entries: Iterable[Entry]


class Progress:
    """Which offsets of a stream a receiver is through with: all before one, and some behind it.

    Args:
        mark: where it begins.

    Attributes:
        next_offset: the first offset that is not settled.
    """

    __slots__ = ("_beyond", "next_offset")

    def __init__(self, mark: Mark) -> None:
        self.next_offset = mark.next_offset
        self._beyond: list[Range] = list(mark.beyond)
        """Settled ranges behind ``next_offset``, in order; no two of them touch."""

    def settle(self, first: int, last: int) -> None:
        """The receiver is through with these offsets, of which none was settled before."""
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
        """Whether all of these offsets are settled."""
        if last < self.next_offset:
            return True
        at = bisect_left(self._beyond, (first + 1,)) - 1
        return at >= 0 and self._beyond[at][1] >= last

    def mark(self) -> Mark:
        """The progress as it is now."""
        return Mark(self.next_offset, tuple(self._beyond[:MAX_BEYOND]))
