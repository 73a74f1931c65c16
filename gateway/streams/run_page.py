"""Small runs of one stream joined into one, for whoever keeps many of them."""

from __future__ import annotations

from gateway.streams.run import Run

PAGE_BYTES = 64 * 1024
"""Runs are joined up to this size; what is written to a receiver at a time is about as much."""

JOINED_RUN_BYTES = 8 * 1024
"""Larger runs stay as they are: keeping them costs less than copying them (2 us, CPython 3.11, November 2026)."""


def joins(run: Run) -> bool:
    """Whether a run is better copied into a page than kept."""
    return run.size <= JOINED_RUN_BYTES and len(run.buffers) == 1


class RunPage:
    """Consecutive runs, copied one behind the other.

    Args:
        run: the first one; it must be one that :func:`joins`, as all that are added.

    Attributes:
        first: offset of the first message.
        count: how many messages.
        size: of their frames.
    """

    __slots__ = ("_data", "_last_at", "_last_count", "_source", "count", "first", "size")

    def __init__(self, run: Run) -> None:
        self._source = run.source
        self._data = bytearray(run.buffers[0])
        self._last_at = run.last_at
        self._last_count = run.last_count
        self.first = run.first
        self.count = run.count
        self.size = run.size

    def add(self, run: Run) -> None:
        """Join the run that follows."""
        self._last_at = self.size + run.last_at
        self._last_count = run.last_count
        self._data += run.buffers[0]
        self.count += run.count
        self.size += run.size

    def sealed(self) -> Run:
        """All as one run; nothing may be added any more."""
        buffers = (self._data,)
        return Run(self._source, self.first, self.count, buffers, self.size, self._last_at, self._last_count)
