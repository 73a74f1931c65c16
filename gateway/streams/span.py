"""Offsets and size of entries, which are runs or large messages."""

from __future__ import annotations

from gateway.streams.large import LargeMessage
from gateway.streams.run import Run


def offsets_of(entry: Run | LargeMessage) -> tuple[int, int]:
    """Return the first and the last offset; of a large message, which must have its offset, the same one twice."""
    if isinstance(entry, Run):
        return entry.first, entry.first + entry.count - 1
    assert entry.offset is not None
    return entry.offset, entry.offset


def held_bytes_of(entry: Run | LargeMessage) -> int:
    """Return the bytes that an entry holds, as received."""
    return entry.size if isinstance(entry, Run) else entry.received_bytes
