"""History: the newest messages of a stream, in memory, for receivers that missed some or start in the past.

Small runs are joined into pages as they are appended, so that a history of a million messages is some hundred objects,
which are delivered as they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.streams.by_size import BySize
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.run_page import PAGE_BYTES, RunPage, joins
from gateway.streams.span import held_bytes_of, offsets_of

Entry = Run | LargeMessage
"""Consecutive messages of a stream: a run, or one complete large message."""

EntriesRead = Callable[[Sequence[Entry] | Exception], object]
"""Callback of a reader: called with the entries, or with the error because of which they cannot be read."""

AGE_STEPS = 20
"""Ages are known to this fraction of ``max_age_s``, so that no message has to carry a time."""

SLACK = 16
"""A history that is full makes room for this fraction of ``max_bytes`` at once, rather than for each message anew."""

LOOKS = 100
"""A history is looked at after this fraction of ``max_age_s``: there may be 100 000."""

SHRUNK_TOGETHER_BYTES = 4 * 1024 * 1024
"""Bytes that histories drop in one step when their bound is lowered."""
LOOKED_AT_TOGETHER = 4096
"""Histories that are looked at before the loop gets its turn."""
TRIMMED_TOGETHER = 512
"""Histories that are trimmed before the loop gets its turn."""


_NONE: Final[list[Any]] = []
"""List without entries, which all empty histories share: with two of its own each of 100,000 takes 112 bytes more."""


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """Limits of a history. The limit that is reached first applies; the oldest messages are dropped."""

    max_messages: int = 65_536
    """Messages; 0 keeps none."""
    max_bytes: int = 16 * 1024 * 1024
    """Bytes, large messages as they were received. Past it messages are dropped together, up to a sixteenth of it more
    than have to be."""
    max_age_s: float = 600.0
    """Seconds since the gateway received a message; it is dropped at most some 6 % and a second later."""

    @property
    def keeps(self) -> bool:
        """True if any message is kept."""
        return self.max_messages > 0 and self.max_bytes > 0 and self.max_age_s > 0


KEEP_ALL = HistoryLimits(max_messages=2**53, max_bytes=2**53, max_age_s=100 * 366 * 86_400.0)
"""Limits of streams whose messages are not dropped; their publisher bounds them."""

KEEP_NOTHING = HistoryLimits(0, 0, 0.0)
"""Limits of streams whose receivers never ask for the past."""


class History:
    """Newest messages of one stream, without a gap, oldest first.

    Used on the loop's thread only. Entries must not change once they are appended; entries that are read share their
    bytes.

    Args:
        limits: bounds on this history.
        budget: bound on all histories together.
        next_offset: of the first message that will be appended.

    Attributes:
        next_offset: offset behind the newest message.
        next_look_ns: time of the next :meth:`trim` that matters.
        held_bytes: bytes that it holds, as counted against ``limits`` and ``budget``.
        size_class: place among the others, kept by ``budget``.
    """

    __slots__ = (
        "_budget",
        "_entries",
        "_first",
        "_firsts",
        "_limits",
        "_look_bytes",
        "_look_offset",
        "_marks",
        "_max_bytes",
        "_max_messages",
        "_page",
        "_page_bytes",
        "_start",
        "held_bytes",
        "next_look_ns",
        "next_offset",
        "size_class",
    )

    def __init__(self, limits: HistoryLimits, budget: HistoryBudget, next_offset: int = 0) -> None:
        self._limits = limits
        self._budget = budget
        self._max_messages = limits.max_messages
        self._max_bytes = limits.max_bytes if limits.keeps else 0
        # A page is dropped as one, so it has to be a small part of the limit.
        self._page_bytes = min(PAGE_BYTES, -(-self._max_bytes // 8))
        self._entries: list[Entry | None] = _NONE
        self._firsts: list[int] = _NONE
        self._start = 0
        """Entries before this index are dropped; they are cut off now and then, so that appending stays cheap."""
        self._page: RunPage | None = None
        """Small runs that are still being joined; newer than all entries."""
        self._marks: deque[tuple[int, int]] | None = None
        """(monotonic time in ns, the next offset then), oldest first."""
        self._first = next_offset
        """No message before this offset is held."""
        self._look_offset = next_offset
        """Once the next offset is this one, entries may have to be dropped for the number of their messages."""
        self._look_bytes = 0
        """Past this size entries may have to be dropped, or the place among the other histories is another one."""
        self.next_offset = next_offset
        self.held_bytes = 0
        self.next_look_ns = 0
        self.size_class = 0

    def __len__(self) -> int:
        """Return the number of messages held."""
        return self.next_offset - self.first

    @property
    def first(self) -> int:
        """Offset of the oldest message held; ``next_offset`` if there is none."""
        return max(self._first, self.next_offset - self._max_messages)

    def append(self, entry: Entry) -> None:
        """Append the messages at ``next_offset``, and drop the oldest ones if a limit is exceeded."""
        if not self._max_bytes:
            self._first = self.next_offset = offsets_of(entry)[1] + 1
            return
        if isinstance(entry, Run) and joins(entry):
            size = entry.size
            page = self._page
            self.next_offset += entry.count
            if page is None:
                self._page, page_bytes = RunPage(entry), size
            else:
                page_bytes = page.add(entry)
            if page_bytes >= self._page_bytes:
                self._seal()
        else:
            self._seal()
            kept = entry.unpinned() if isinstance(entry, Run) else entry
            size = held_bytes_of(kept)
            self._put(kept)
        self.held_bytes = held_bytes = self.held_bytes + size
        budget = self._budget
        budget.held_bytes += size
        if held_bytes > self._look_bytes or self.next_offset >= self._look_offset:
            self._keep_limits()
        if budget.held_bytes > budget.limit_bytes:
            budget.shrink()

    def read(self, first: int, last: int, max_bytes: int) -> list[Entry]:
        """Return the messages ``first .. last``, as far as they are held and as many as fit, but at least one entry.

        A run is cut at the borders of its frames. A record batch that straddles ``first`` or ``last`` is not cut:
        receivers skip the records that they have (spec section 5.2).

        Args:
            first: first offset wanted; messages before the oldest one held are left out.
            last: last offset wanted.
            max_bytes: reading stops before the entry that would exceed it.
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
            # A new run object: the text that receivers make of it is not held by the history.
            part = entry.part(first, last) if isinstance(entry, Run) else entry
            max_bytes -= held_bytes_of(part)
            if found and max_bytes < 0:
                break
            found.append(part)
        return found

    def trim(self, now_ns: int) -> None:
        """Drop messages older than ``max_age_s``.

        Args:
            now_ns: time by a clock that nobody sets.
        """
        if not self.held_bytes:
            self._marks = None
            return
        marks = self._marks
        if marks is None:
            marks = self._marks = deque()
        max_age_ns = int(self._limits.max_age_s * 1e9)
        self.next_look_ns = now_ns + max_age_ns // LOOKS
        if not marks or (now_ns - marks[-1][0] >= max_age_ns // AGE_STEPS and self.next_offset > marks[-1][1]):
            marks.append((now_ns, self.next_offset))
        while marks and marks[0][0] <= now_ns - max_age_ns:
            self._drop_until(marks.popleft()[1])

    def drop_oldest(self) -> None:
        """Drop the oldest entry; there must be one."""
        self._drop_oldest()
        self._place()

    def close(self) -> list[Entry | None]:
        """Drop all entries, and return them: there may be millions, of which the caller lets go bit by bit."""
        dropped = self._entries
        self._budget.held_bytes -= self.held_bytes
        self._entries, self._firsts, self._start, self._page = _NONE, _NONE, 0, None
        self.held_bytes = 0
        self._place()
        self._first = self.next_offset
        return dropped

    def _keep_limits(self) -> None:
        """Drop the oldest entries as far as a limit is exceeded, and note when to look at the limits again."""
        page = self._page
        if page is not None and page.count >= self._max_messages:
            self._seal()
        if self.held_bytes > self._max_bytes:
            self._drop_excess()
        excess = self.next_offset - self._max_messages
        while self._start < len(self._entries) and self._end_of_oldest() <= excess:
            self._drop_oldest()
        page = None if self._start < len(self._entries) else self._page
        self._look_offset = self._max_messages + (self._end_of_oldest() if page is None else page.first)
        self._place()

    def _put(self, entry: Entry) -> None:
        first, last = offsets_of(entry)
        if self._entries is _NONE:
            self._entries, self._firsts = [], []
        self._entries.append(entry)
        self._firsts.append(first)
        self.next_offset = last + 1

    def _seal(self) -> None:
        page, self._page = self._page, None
        if page is not None:
            self._put(page.sealed())

    def _drop_until(self, offset: int) -> None:
        """Drop entries before ``offset``; an entry that straddles it stays, and is read from ``offset`` on."""
        if offset <= self.first:
            return
        if offset >= self.next_offset:
            self.close()
            return
        while self._start < len(self._firsts) and self._end_of_oldest() <= offset:
            self._drop_oldest()
        self._place()
        self._first = offset

    def _end_of_oldest(self) -> int:
        following = self._start + 1
        if following < len(self._firsts):
            return self._firsts[following]
        return self.next_offset if self._page is None else self._page.first

    def _drop_excess(self) -> None:
        """Drop the oldest entries until the rest keep ``max_bytes``, and some more, so that the next ones find room.

        Entries that need not be dropped are at most a fraction of the limit (:data:`SLACK`).
        """
        entries, at, held = self._entries, self._start, self.held_bytes
        most, least = self._max_bytes, self._max_bytes - self._max_bytes // SLACK
        while True:
            if at == len(entries):
                if held <= most:
                    break
                self._seal()
                entries = self._entries
            entry = entries[at]
            assert entry is not None
            size = held_bytes_of(entry)
            if held <= most and held - size < least:
                break
            held -= size
            at += 1
        self._drop_before(at, self.held_bytes - held)

    def _drop_oldest(self) -> None:
        if self._start == len(self._entries):
            self._seal()
        entry = self._entries[self._start]
        assert entry is not None
        self._drop_before(self._start + 1, held_bytes_of(entry))

    def _drop_before(self, index: int, nbytes: int) -> None:
        """Drop the entries before an index, which hold so many bytes."""
        self.held_bytes -= nbytes
        self._budget.held_bytes -= nbytes
        self._entries[self._start : index] = [None] * (index - self._start)
        self._start = index - 1
        self._first = max(self._first, self._end_of_oldest())
        self._start = index
        if index * 2 >= len(self._entries):
            del self._entries[:index], self._firsts[:index]
            self._start = 0

    def _place(self) -> None:
        if self.held_bytes.bit_length() != self.size_class:
            self._budget.place(self)
        self._look_bytes = min((1 << self.size_class) - 1, self._max_bytes)


class HistoryBudget:
    """Bound on the bytes that all histories of a gateway hold together; past it the largest histories shrink.

    There may be 100 000 histories, so none of them is looked at but those that shrink.

    Args:
        limit_bytes: the bound, ``history_total_bytes``.

    Attributes:
        holders: the histories that hold messages.
        held_bytes: bytes that they hold.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.holders: dict[History, None] = {}
        self.held_bytes = 0
        self._by_size: BySize[History] = BySize()

    def place(self, history: History) -> None:
        """Take note of the size of a history, which has become another one by a factor of two."""
        if not history.size_class:
            self.holders[history] = None
        elif not history.held_bytes:
            del self.holders[history]
        self._by_size.place(history, history.held_bytes)

    def shrink(self) -> None:
        """Have the largest histories drop their oldest entries, in turn, until the bound is kept."""
        while self.held_bytes > self.limit_bytes:
            largest = self._by_size.largest()
            assert largest is not None
            largest.drop_oldest()

    def set_limit(self, limit_bytes: int) -> Iterator[None]:
        """Set another bound, and have histories shrink to a lower one in small steps."""
        while self.limit_bytes > limit_bytes:
            self.limit_bytes = max(limit_bytes, min(self.limit_bytes, self.held_bytes) - SHRUNK_TOGETHER_BYTES)
            self.shrink()
            yield
        self.limit_bytes = limit_bytes

    def trim(self, now_ns: int) -> Generator[None, None, None]:
        """Drop messages that are too old from all histories; called about once a second.

        Yields every :data:`TRIMMED_TOGETHER` histories that are trimmed, and every :data:`LOOKED_AT_TOGETHER`.

        Args:
            now_ns: time by a clock that nobody sets.
        """
        trimmed = 0
        for index, history in enumerate(list(self.holders), start=1):
            if history.next_look_ns <= now_ns:
                history.trim(now_ns)
                trimmed += 1
            if trimmed == TRIMMED_TOGETHER or not index % LOOKED_AT_TOGETHER:
                trimmed = 0
                yield
