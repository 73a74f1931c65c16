"""What waits to be computed for one view: of a state the newest version only, of events all, within a bound."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from gateway.errors import Code
from gateway.protocol.signals import Gap
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.span import held_bytes_of, offsets_of

QUEUE_BYTES: Final = 64 * 1024 * 1024
"""What may wait of an ``event`` stream for threads that do not keep up; past it the oldest are dropped, told by GAP."""

JOB_BYTES: Final = 1024 * 1024
"""What is computed at a time of an ``event`` stream, if there is more."""


class PendingEntry(NamedTuple):
    """Messages of the stream.

    Attributes:
        entry: a run, or a whole large message.
        last_only: only the newest message in it is wanted; the others count as conflated already.
    """

    entry: Run | LargeMessage
    last_only: bool

    @property
    def wanted_messages(self) -> int:
        """How many messages of the view it would become."""
        return 1 if self.last_only or not isinstance(self.entry, Run) else self.entry.count


class ViewQueue:
    """First in, first out; of a ``state`` there is one at most.

    Args:
        view_id: the view's, for gaps.
        conflates: whether the stream is a ``state``, whose newer versions replace older ones.

    Attributes:
        conflated_messages: versions that were replaced.
    """

    __slots__ = ("_bytes", "_conflates", "_dropped", "_id", "_waiting", "conflated_messages")

    def __init__(self, view_id: int, *, conflates: bool) -> None:
        self._id = view_id
        self._conflates = conflates
        self._waiting: deque[PendingEntry] = deque()
        self._bytes = 0
        self._dropped: Gap | None = None
        """Events that stood before all that wait."""
        self.conflated_messages = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, waiting: PendingEntry) -> None:
        """Queue messages, instead of older versions, or behind older events; the newest is never dropped."""
        if self._conflates:
            self.conflated_messages += sum([older.wanted_messages for older in self._waiting])
            self.clear()
        self._waiting.append(waiting)
        self._bytes += held_bytes_of(waiting.entry)
        while self._bytes > QUEUE_BYTES and len(self._waiting) > 1:
            oldest = self._waiting.popleft()
            self._bytes -= held_bytes_of(oldest.entry)
            first, last = offsets_of(oldest.entry)
            if self._dropped is not None:
                first = self._dropped.first
            self._dropped = Gap(self._id, Code.QUEUE_FULL, first, last)

    def take(self) -> list[PendingEntry | Gap]:
        """What is to be computed next, and a gap for what was dropped before it; not empty if anything waits."""
        job: list[PendingEntry | Gap] = [] if self._dropped is None else [self._dropped]
        self._dropped = None
        size = 0
        while self._waiting and size < JOB_BYTES:
            waiting = self._waiting.popleft()
            job.append(waiting)
            size += held_bytes_of(waiting.entry)
        self._bytes -= size
        return job

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self._bytes = 0
        self._dropped = None
