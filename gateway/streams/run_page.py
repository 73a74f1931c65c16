"""Run page: small runs of one stream joined into one, for histories and stores that keep many of them."""

from __future__ import annotations

from gateway.streams.run import Run

PAGE_BYTES = 64 * 1024
"""Runs are joined up to this size, which is about the size of one write to a receiver."""

JOINED_RUN_BYTES = 8 * 1024
"""Larger runs are not joined: keeping them costs less than copying them (2 us, CPython 3.11, November 2026)."""


def joins(run: Run) -> bool:
    """Return whether a run is better copied into a page than kept."""
    return run.size <= JOINED_RUN_BYTES and len(run.buffers) == 1


class RunPage:
    """Consecutive runs, copied one behind the other.

    Args:
        run: the first one; :func:`joins` must hold for it, as for all runs that are added.

    Attributes:
        first: offset of the first message.
        count: number of messages.
    """

    __slots__ = ("_data", "_last_at", "_last_count", "_source", "count", "first")

    def __init__(self, run: Run) -> None:
        self._source = run.source
        self._data = bytearray(run.buffers[0])
        self._last_at = run.last_at
        self._last_count = run.last_count
        self.first = run.first
        self.count = run.count

    @property
    def size(self) -> int:
        """Bytes of the frames."""
        return len(self._data)

    def add(self, run: Run) -> int:
        """Add the next run; return the bytes of all frames."""
        data = self._data
        self._last_at = len(data) + run.last_at
        self._last_count = run.last_count
        self.count += run.count
        data += run.buffers[0]
        return len(data)

    def sealed(self) -> Run:
        """Return the page as one run; no run may be added afterwards."""
        return Run(self._source, self.first, self.count, (self._data,), self.size, self._last_at, self._last_count)
