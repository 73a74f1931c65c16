"""Bulk: messages that wait for the window of one receiver, because they would hold up what comes behind them."""

from __future__ import annotations

from typing import Final

from gateway.protocol.messages import Kind
from gateway.streams.run import Run

BULK_BYTES: Final = 64 * 1024
"""Bytes above which a message that waits for a receiver is bulk, as a chunk is; many small ones together are not."""


class Bulk:
    """Rule for the messages of one receiver.

    Attributes:
        paced: whether states of any size are bulk: none leaves before those that were sent have been read.
    """

    __slots__ = ("paced",)

    def __init__(self) -> None:
        self.paced = False

    def holds(self, entry: object) -> bool:
        """Return whether an entry of a queue is small messages, and these are bulk."""
        if not isinstance(entry, Run):
            return False
        return entry.size > BULK_BYTES * entry.count or (self.paced and entry.source.kind is Kind.STATE)


UNPACED: Final = Bulk()
"""Rule for receivers that have no rule of their own; it never changes."""
