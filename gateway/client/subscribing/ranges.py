"""Ranges: sets of numbers that mostly follow one another, such as processed offsets and sequences."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Ranges:
    """A set of integers, kept as ranges without a gap between them.

    Args:
        limit: largest number of ranges; past it the lowest gap is closed, as if its numbers were in the set.
    """

    __slots__ = ("_firsts", "_lasts", "_limit")

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Return an iterator over the ranges as (first, last), in order."""
        return zip(self._firsts, self._lasts, strict=True)

    def add(self, first: int, last: int) -> None:
        """Put ``first .. last`` into the set."""
        firsts, lasts = self._firsts, self._lasts
        if lasts and lasts[-1] + 1 == first:
            lasts[-1] = last
            return
        # The ranges from `low` up to `high` touch the new range.
        low = bisect_left(lasts, first - 1)
        high = bisect_right(firsts, last + 1)
        if low < high:
            first, last = min(first, firsts[low]), max(last, lasts[high - 1])
        firsts[low:high] = [first]
        lasts[low:high] = [last]
        if len(firsts) > self._limit:
            del firsts[1], lasts[0]

    def covers(self, first: int, last: int) -> bool:
        """Return whether all of ``first .. last`` is in the set."""
        index = bisect_right(self._firsts, first) - 1
        return index >= 0 and self._lasts[index] >= last
