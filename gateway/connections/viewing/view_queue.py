"""Queue of one view: messages of the stream that wait for the computation of the view.

The queue keeps only the newest version of a ``state``, and all messages of an ``event`` stream up to
:data:`QUEUE_BYTES`.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from gateway.errors import Code
from gateway.protocol.signals import Gap
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.span import held_bytes_of, offsets_of

QUEUE_BYTES: Final = 64 * 1024 * 1024
"""Bound on the events that wait for busy threads. Past half of it publishers wait; past all of it the oldest are
dropped and receivers are sent a GAP. The event that is next, and one more of any size, do not count."""

ALL_QUEUES_BYTES: Final = 16 * QUEUE_BYTES
"""The same bound on the queues of all views together."""

JOB_BYTES: Final = 1024 * 1024
"""Size of one batch of events, computed together in a thread, if more than that wait."""


class PendingEntry(NamedTuple):
    """Messages of the stream that wait to be computed."""

    entry: Run | LargeMessage
    """A run, or a complete large message."""
    last_only: bool
    """Only the newest message in it is wanted; the others count as conflated already."""

    @property
    def wanted_messages(self) -> int:
        """Number of messages of the view that are computed from the entry."""
        return 1 if self.last_only or not isinstance(self.entry, Run) else self.entry.count


class QueuedBytes:
    """Bytes of the events that wait in the queues of all views."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


class ViewQueue:
    """Queue of one view, first in, first out; the queue of a ``state`` has at most one entry.

    Args:
        view_id: id of the view, for gaps.
        conflates: the stream is a ``state``, whose newer versions replace older ones.
        queued: counts the bytes of all queues.
    """

    __slots__ = ("_bytes", "_conflates", "_dropped", "_id", "_job_bytes", "_queued", "_waiting", "conflated_messages")

    def __init__(self, view_id: int, queued: QueuedBytes, *, conflates: bool) -> None:
        self._id = view_id
        self._queued = queued
        self._conflates = conflates
        self._waiting: deque[PendingEntry] = deque()
        self._bytes = 0
        self._job_bytes = 0
        """Bytes of the entries that were taken last and are being computed."""
        self._dropped: Gap | None = None
        """Events that were dropped: those between the first one that waits and all others."""
        self.conflated_messages = 0
        """Versions that newer ones have replaced."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def crowded(self) -> bool:
        """Whether so many events wait, or are being computed, that publishers are to wait."""
        return self._bytes + self._job_bytes > QUEUE_BYTES // 2 or (
            len(self._waiting) > 2 and self._queued.total > ALL_QUEUES_BYTES // 2
        )

    def put(self, waiting: PendingEntry) -> None:
        """Queue messages, in place of older versions or behind older events; the newest entry is never dropped."""
        if self._conflates:
            self.conflated_messages += sum([older.wanted_messages for older in self._waiting])
            self.clear()
        self._waiting.append(waiting)
        self._count(held_bytes_of(waiting.entry))
        while self._over_bound():
            oldest = self._waiting[1]
            del self._waiting[1]
            self._count(-held_bytes_of(oldest.entry))
            first, last = offsets_of(oldest.entry)
            if self._dropped is not None:
                first = self._dropped.first
            self._dropped = Gap(self._id, Code.QUEUE_FULL, first, last)

    def take(self) -> list[PendingEntry | Gap]:
        """Remove and return the entries to be computed next, with a gap in the place of those that were dropped."""
        job: list[PendingEntry | Gap] = []
        size = 0
        while self._waiting and size < JOB_BYTES:
            waiting = self._waiting.popleft()
            job.append(waiting)
            size += held_bytes_of(waiting.entry)
            if self._dropped is not None:
                job.append(self._dropped)
                self._dropped = None
        self._count(-size)
        self._job_bytes = size
        return job

    def computed(self) -> None:
        """Note that the entries which were taken last have been computed."""
        self._job_bytes = 0

    def _over_bound(self) -> bool:
        """Return whether more waits than the bound, not counting the first event and one more."""
        if len(self._waiting) <= 2 or self._conflates:
            return False
        if self._queued.total > ALL_QUEUES_BYTES:
            return True
        if self._bytes <= QUEUE_BYTES:
            return False
        first, oldest, newest = [held_bytes_of(self._waiting[at].entry) for at in (0, 1, -1)]
        return self._bytes - first - max(oldest, newest) > QUEUE_BYTES

    def clear(self) -> None:
        """Remove all entries."""
        self._waiting.clear()
        self._count(-self._bytes)
        self._job_bytes = 0
        self._dropped = None

    def _count(self, more_bytes: int) -> None:
        self._bytes += more_bytes
        if not self._conflates:  # the queues of a state share its newest version
            self._queued.total += more_bytes
