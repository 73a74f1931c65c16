"""Where a subscription stands in a stream: tells what was skipped and what comes twice."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """What a cursor learned from messages that arrived."""

    skipped: int
    """Messages before them that did not come."""
    repeated: int
    """How many of them, from the first on, were seen before."""


class Cursor:
    """The next offset that is expected.

    Attributes:
        epoch: the stream's incarnation; offsets of another one say nothing.
        next: the offset after the last one seen; None before the first.
    """

    __slots__ = ("epoch", "next")

    def __init__(self) -> None:
        self.epoch = 0
        self.next: int | None = None

    def advance(self, epoch: int, offset: int, count: int) -> Step:
        """Go past ``count`` messages from ``offset`` on; never back.

        A record batch may overlap what was seen: history gives it whole (spec section 5.2).
        """
        end = offset + count
        if self.next is None or epoch != self.epoch:
            self.epoch = epoch
            self.next = end
            return Step(0, 0)
        ahead = offset - self.next
        self.next = max(self.next, end)
        return Step(ahead, 0) if ahead >= 0 else Step(0, min(-ahead, count))
