"""Where a subscription stands in a stream: tells what was skipped and what comes twice."""

from __future__ import annotations


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

    def advance(self, epoch: int, offset: int, count: int) -> int | None:
        """Go past ``count`` messages from ``offset`` on.

        Returns:
            How many messages before them were skipped; None if these were seen before.
        """
        skipped = 0
        if self.next is not None and epoch == self.epoch:
            skipped = offset - self.next
            if skipped < 0:
                return None
        self.epoch = epoch
        self.next = offset + count
        return skipped
