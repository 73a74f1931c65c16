"""What a stream still holds of its past, in memory: for receivers that missed something and ask for it again.

Small runs are joined into pages as they come, so that a history of a million messages is some hundred objects, and is
given out as it lies there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.run_page import PAGE_BYTES, RunPage, joins
from gateway.streams.span import held_bytes_of, offsets_of

Entry = Run | LargeMessage
"""Consecutive messages of a stream: a run, or one large message that is whole."""

AGE_STEPS = 16
"""Ages are known to this part of ``max_age_s``, so that no message has to carry a time."""

TRIMMED_TOGETHER = 512
"""Histories between two chances for the loop."""


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How much of a stream's past is kept. Whichever limit is reached first acts; the oldest messages go."""

    max_messages: int = 65_536
    """Messages; 0 keeps nothing."""
    max_bytes: int = 16 * 1024 * 1024
    """Bytes, large messages as they were received."""
    max_age_s: float = 600.0
    """Seconds since the gateway took the message in; some 6 % later it is gone."""

    @property
    def keeps(self) -> bool:
        """Whether anything is kept at all."""
        return self.max_messages > 0 and self.max_bytes > 0 and self.max_age_s > 0


KEEP_NOTHING = HistoryLimits(0, 0, 0.0)
"""Of streams whose receivers never ask for the past."""


class History:
    """The newest messages of one stream, without a gap, oldest first.

    Everything happens on the loop's thread. What is appended must not change any more; what is read shares its bytes.

    Args:
        limits: how much is kept.
        budget: what all histories may hold together.
        next_offset: of the first message that will be appended.

    Attributes:
        first: offset of the oldest message held; ``next_offset`` if there is none.
        next_offset: offset behind the newest message.
        held_bytes: what it holds, as counted against ``limits`` and ``budget``.
    """

    __slots__ = (
        "_budget",
        "_entries",
        "_firsts",
        "_limits",
        "_marks",
        "_max_bytes",
        "_max_messages",
        "_page",
        "_start",
        "first",
        "held_bytes",
        "next_offset",
    )

    def __init__(self, limits: HistoryLimits, budget: HistoryBudget, next_offset: int = 0) -> None:
        self._limits = limits
        self._budget = budget
        self._max_messages = limits.max_messages
        self._max_bytes = limits.max_bytes if limits.keeps else 0
        self._entries: list[Entry | None] = []
        self._firsts: list[int] = []
        self._start = 0
        """Entries before this index have gone; they are cut off now and then, so that appending stays cheap."""
        self._page: RunPage | None = None
        """Small runs that are still being joined; newer than all entries."""
        self._marks: deque[tuple[int, int]] | None = None
        """(Unix time in ns, the next offset then), oldest first."""
        self.first = next_offset
        self.next_offset = next_offset
        self.held_bytes = 0

    def __len__(self) -> int:
        """How many messages it holds."""
        return self.next_offset - self.first

    def append(self, entry: Entry) -> None:
        """Keep the messages at ``next_offset``, and let go of the oldest ones if a limit is passed."""
        if not self._max_bytes:
            self.first = self.next_offset = offsets_of(entry)[1] + 1
            return
        budget = self._budget
        if not self.held_bytes:
            budget.holders[self] = None
        if isinstance(entry, Run) and joins(entry):
            size = entry.size
            self._join(entry)
        else:
            self._seal()
            kept = entry.unpinned() if isinstance(entry, Run) else entry
            size = held_bytes_of(kept)
            self._put(kept)
        self.held_bytes += size
        budget.held_bytes += size
        if self.held_bytes > self._max_bytes or self.next_offset - self.first > self._max_messages:
            self._drop_until(self.next_offset - self._max_messages)
            self.shrink(self._max_bytes)
        if budget.held_bytes > budget.limit_bytes:
            budget.shrink()

    def read(self, first: int, last: int, max_bytes: int) -> list[Entry]:
        """The messages ``first .. last``, as far as they are held and as many as fit, but one entry at least.

        A run is cut at the borders of its frames. A record batch that straddles ``first`` or ``last`` is given whole:
        receivers leave out the records that they have (spec section 5.2).

        Args:
            first: of the offsets wanted; what lies before the oldest message held is left out.
            last: of the offsets wanted, included.
            max_bytes: stop before the entry that would exceed it.
        """
        self._seal()
        first = max(first, self.first)
        last = min(last, self.next_offset - 1)
        if first > last:
            return []
        index = max(bisect_right(self._firsts, first, self._start) - 1, self._start)
        found: list[Entry] = []
        for entry in self._entries[index:]:
            assert entry is not None
            if offsets_of(entry)[0] > last:
                break
            # A run of its own: what receivers make of it, such as text, is not held by the history.
            part = entry.part(first, last) if isinstance(entry, Run) else entry
            max_bytes -= held_bytes_of(part)
            if found and max_bytes < 0:
                break
            found.append(part)
        return found

    def trim(self, now_ns: int) -> None:
        """Let go of what is older than ``max_age_s``; to be called now and then.

        Args:
            now_ns: Unix time.
        """
        if not self.held_bytes:
            self._marks = None
            return
        marks = self._marks
        if marks is None:
            marks = self._marks = deque()
        max_age_ns = int(self._limits.max_age_s * 1e9)
        if not marks or (now_ns - marks[-1][0] >= max_age_ns // AGE_STEPS and self.next_offset > marks[-1][1]):
            marks.append((now_ns, self.next_offset))
        while marks and marks[0][0] <= now_ns - max_age_ns:
            self._drop_until(marks.popleft()[1])

    def shrink(self, max_bytes: int) -> None:
        """Let go of the oldest entries until no more than ``max_bytes`` are held."""
        while self.held_bytes > max_bytes:
            self._drop_oldest()

    def close(self) -> None:
        """Let go of everything."""
        self.shrink(0)
        self.first = self.next_offset

    def _join(self, run: Run) -> None:
        page = self._page
        if page is None:
            page = self._page = RunPage(run)
        else:
            page.add(run)
        self.next_offset += run.count
        # A page goes as one, so it is a small part of what may be held.
        if page.size >= PAGE_BYTES or page.size * 8 >= self._max_bytes or page.count >= self._max_messages:
            self._seal()

    def _put(self, entry: Entry) -> None:
        first, last = offsets_of(entry)
        self._entries.append(entry)
        self._firsts.append(first)
        self.next_offset = last + 1

    def _seal(self) -> None:
        page, self._page = self._page, None
        if page is not None:
            self._put(page.sealed())

    def _drop_until(self, offset: int) -> None:
        """Let go of what stands before ``offset``; an entry that straddles it stays, and is given from there on."""
        if offset <= self.first:
            return
        if offset >= self.next_offset:
            self.close()
            return
        while self._start < len(self._firsts) and self._end_of_oldest() <= offset:
            self._drop_oldest()
        self.first = offset

    def _end_of_oldest(self) -> int:
        following = self._start + 1
        if following < len(self._firsts):
            return self._firsts[following]
        return self.next_offset if self._page is None else self._page.first

    def _drop_oldest(self) -> None:
        if self._start == len(self._entries):
            self._seal()
        self.first = max(self.first, self._end_of_oldest())
        entry = self._entries[self._start]
        assert entry is not None
        size = held_bytes_of(entry)
        self.held_bytes -= size
        self._budget.held_bytes -= size
        self._entries[self._start] = None
        self._start += 1
        if self._start * 2 >= len(self._entries):
            del self._entries[: self._start], self._firsts[: self._start]
            self._start = 0
        if not self.held_bytes:
            self._budget.holders.pop(self, None)


class HistoryBudget:
    """What all histories of a gateway may hold together. When it is used up, the largest ones give.

    Args:
        limit_bytes: the bound, ``history_total_bytes``.

    Attributes:
        holders: the histories that hold anything.
        held_bytes: what they hold.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.holders: dict[History, None] = {}
        self.held_bytes = 0

    def shrink(self) -> None:
        """Take an eighth of the bound away from the largest, so that it is not needed again soon."""
        level_bytes = _level([history.held_bytes for history in self.holders], self.limit_bytes * 7 // 8)
        for history in list(self.holders):
            history.shrink(level_bytes)

    def trim(self, now_ns: int) -> Generator[None, None, None]:
        """Let go of what is too old in all histories; yields every :data:`TRIMMED_TOGETHER` of them."""
        for index, history in enumerate(list(self.holders), start=1):
            history.trim(now_ns)
            if not index % TRIMMED_TOGETHER:
                yield


def _level(sizes: list[int], total: int) -> int:
    """The level to which the largest sizes have to come down so that all together are at most ``total``."""
    rest = total
    sizes = sorted(sizes)
    for index, size in enumerate(sizes):
        share = rest // (len(sizes) - index)
        if size > share:
            return share
        rest -= size
    return total
