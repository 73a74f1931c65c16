"""Event backlog: messages of ``event`` streams that wait for one receiver, added up over all its streams.

A receiver may have thousands of streams, so the sums are kept when a queue changes: a message costs the same however
many queues there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from gateway.streams.by_size import BySize

SMALL_PART: Final = 64
"""First messages up to this fraction of the bound are not told apart from none when the largest one is looked for."""

DROPS_A_MESSAGE: Final = 64
"""Messages that are dropped for one that has come, unless they are smaller than it; the rest waits for the next one."""

DROPS_A_STEP: Final = 128
"""Messages that are dropped in one step of long work."""


class EventQueue(Protocol):
    """Queue of one ``event`` stream. Only :class:`EventBacklog` writes the numbers that were counted."""

    waiting_bytes: int
    counted_bytes: int
    """Part of ``waiting_bytes`` that was counted."""
    counted_backlog_bytes: int
    """The backlog that was counted."""
    counted_bounded_bytes: int
    """Bytes that were counted against the bound."""
    counted_left: bool
    """Whether it was counted among the queues that wait for history."""
    size_class: int
    has_large: bool
    """Whether large messages may wait, of which some do not count against the bound."""

    @property
    def backlog_bytes(self) -> int:
        """Bytes of the messages behind the first one."""

    @property
    def left_to_history(self) -> bool:
        """Whether messages that did not fit are still to be read from history."""

    def bounded_bytes(self, *, waited_for: bool) -> int:
        """Return the bytes that count against the bound."""

    def drop_oldest(self, *, waited_for: bool, to_the_last: bool = False) -> int:
        """Leave a message to history and return its size; 0 if there is none to be dropped."""


Q = TypeVar("Q", bound=EventQueue)


class EventBacklog(Generic[Q]):
    """Sums over the queues of one receiver, and their bound.

    Args:
        limit_bytes: bound on the messages that wait.

    Attributes:
        waiting_bytes: bytes of all messages.
        backlog_bytes: bytes of the messages behind the first one of each stream.
        left: number of queues with messages that did not fit, and are to be read from history.
        limit_bytes: the same. Messages that exceed a lower one leave with :meth:`give_up`.
        sender_credit: bytes that may wait before publishers wait; 0: half of the bound.
        crowd_bytes: bytes behind the first message of each stream from which they wait now: more than the credit while
            the queue is being shortened to it.
    """

    __slots__ = (
        "_bounded_bytes",
        "_by_size",
        "_large_firsts",
        "_largest_first",
        "_waiters",
        "_waiters_seen",
        "backlog_bytes",
        "crowd_bytes",
        "left",
        "limit_bytes",
        "sender_credit",
        "waiting_bytes",
    )

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.sender_credit = 0
        self.crowd_bytes = limit_bytes // 2
        self.waiting_bytes = 0
        self.backlog_bytes = 0
        self.left = 0
        self._bounded_bytes = 0
        """Bytes that count against the bound."""
        self._by_size: BySize[Q] = BySize()
        self._large_firsts: dict[Q, int] = {}
        """Sizes of the first messages that are not small."""
        self._largest_first: int | None = 0
        """The largest of them; ``None``: it is to be looked for."""
        self._waiters: dict[Q, Callable[[], object]] = {}
        """Called when publishers of a stream need not wait any more."""
        self._waiters_seen = (False, False)
        """State of all streams together by which the waiters were looked at last."""

    def set_bound(self, limit_bytes: int) -> bool:
        """Set the bound, and return whether it is another one."""
        before, self.limit_bytes = self.limit_bytes, limit_bytes
        half = limit_bytes // 2
        # A bound that was lower for a while must not leave less than the credit behind.
        self.crowd_bytes = max(min(self.crowd_bytes, half), self.least_bytes) if self.sender_credit else half
        return before != limit_bytes

    @property
    def least_bytes(self) -> int:
        """Bytes that may wait before publishers wait, once nothing waits that has come before there was a credit."""
        half = self.limit_bytes // 2
        return min(self.sender_credit or half, half)

    def set_sender_credit(self, nbytes: int) -> None:
        """Set the bytes that may wait before publishers wait; 0: half of the bound.

        Messages that wait may go on to do so, or publishers would wait for all of them: see :meth:`lower_crowd`.
        """
        self.sender_credit = nbytes
        half = self.limit_bytes // 2
        self.crowd_bytes = min(max(nbytes, self.backlog_bytes), half) if nbytes else half

    def lower_crowd(self, nbytes: int) -> None:
        """Lower the bytes that may wait by so many, down to the credit."""
        if self.sender_credit:
            self.crowd_bytes = max(min(self.crowd_bytes, self.backlog_bytes) - nbytes, self.least_bytes)

    def count(self, queue: Q, *, slow: bool) -> None:
        """Count a queue that has changed.

        Args:
            queue: the queue.
            slow: whether nobody waits for the receiver.
        """
        waiting, backlog = queue.waiting_bytes, queue.backlog_bytes
        bounded = queue.bounded_bytes(waited_for=not slow)
        self.waiting_bytes += waiting - queue.counted_bytes
        self.backlog_bytes += backlog - queue.counted_backlog_bytes
        self._bounded_bytes += bounded - queue.counted_bounded_bytes
        queue.counted_bytes, queue.counted_backlog_bytes, queue.counted_bounded_bytes = waiting, backlog, bounded
        self._count_left(queue)
        first = waiting - backlog
        if first > self.limit_bytes // SMALL_PART or queue in self._large_firsts:
            self._count_first(queue, first)
        if waiting and not bounded and not slow:
            # Its messages may be dropped when the receiver counts as slow.
            self._by_size.set_aside(queue)
        else:
            self._by_size.place(queue, waiting if slow else bounded)
        if queue in self._waiters and not self.holds_up(queue, slow=slow):
            self._waiters.pop(queue)()

    def clear(self) -> None:
        """Forget all queues."""
        self.waiting_bytes = self.backlog_bytes = self._bounded_bytes = self.left = 0
        self._by_size = BySize()
        self._large_firsts.clear()
        self._largest_first = 0
        self._call([*self._waiters])

    @property
    def crowded(self) -> bool:
        """Whether so much waits behind the first message of each stream that publishers wait."""
        return self.backlog_bytes > self.crowd_bytes

    def full(self, *, slow: bool) -> bool:
        """Return whether more than the bound waits, the largest message that is the first of its stream not counted.

        Half of the bound is enough if the receiver is slow: it has not caught up because messages of streams without a
        history were given up.
        """
        if slow:
            return self.waiting_bytes > self.limit_bytes // 2
        return self.waiting_bytes > self.limit_bytes and self.waiting_bytes > self.limit_bytes + self._first_bytes()

    def behind(self, *, slow: bool) -> bool:
        """Return whether the receiver is behind: publishers of some of its streams wait, unless it is slow."""
        return self.left > 0 or self.crowded or self.full(slow=slow)

    def holds_up(self, queue: Q, *, slow: bool) -> bool:
        """Return whether publishers of a stream wait for the receiver."""
        if slow:
            return False
        return (
            queue.left_to_history
            or (queue.counted_backlog_bytes > 0 and self.crowded)
            or (queue.counted_bytes > 0 and self.full(slow=False))
        )

    def when_not_held_up(self, queue: Q, call: Callable[[], object], *, slow: bool) -> None:
        """Call once, as soon as publishers of a stream, which wait for the receiver, need not wait any more."""
        self.let_go(slow=slow)
        self._waiters_seen = (self.crowded, self.full(slow=slow))
        self._waiters[queue] = call

    def let_go(self, *, slow: bool) -> None:
        """Look whether publishers of all streams need not wait any more; those of one are seen to when it changes."""
        if not self._waiters:
            return
        state = (self.crowded, self.full(slow=slow))
        if slow or state != self._waiters_seen:
            self._waiters_seen = state
            self._call([queue for queue in self._waiters if not self.holds_up(queue, slow=slow)])

    def came(self, queue: Q, size: int, *, slow: bool) -> None:
        """Count a message that has come last, and leave messages to history, as many as exceed the bound.

        The streams of which most waits lose their oldest messages. A slow receiver, which may have thousands of
        streams, loses even the first and the newest message of each stream but this one.

        Args:
            queue: the message is in it already.
            size: bytes of the message.
            slow: whether nobody waits for the receiver.
        """
        if queue.counted_bytes and not queue.has_large:
            self._count_behind_first(queue, size)
        else:
            self.count(queue, slow=slow)
        if self.waiting_bytes > self.limit_bytes:
            self._drop(queue, DROPS_A_MESSAGE, 2 * size, slow=slow)

    def give_up(self, *, slow: bool) -> bool:
        """Take a step of leaving to history all that exceeds the bound: a slow receiver is not waited for from now on.

        Returns:
            Whether there is more to do.
        """
        return self._drop(self._by_size.largest(), DROPS_A_STEP, 0, slow=slow)

    def _drop(self, kept: Q | None, drops: int, least_bytes: int, *, slow: bool) -> bool:
        """Drop about so many messages, or so many bytes if that is more. Return whether there is more to do."""
        by_size, limit_bytes = self._by_size, self.limit_bytes
        passed_over = False
        while True:
            # Beside the bound, messages of one stream wait for a slow receiver.
            beside = slow and self.waiting_bytes - (0 if kept is None else kept.counted_bytes) > limit_bytes
            more = beside or self._bounded_bytes > limit_bytes
            if not more or (drops <= 0 and least_bytes <= 0):
                break
            drops -= 1
            queue = by_size.largest() or (by_size.take_aside() if beside else None)
            if queue is None:
                more = False
                break
            size = queue.drop_oldest(waited_for=not slow)
            if size and not queue.has_large:
                self._count_behind_first(queue, -size)
                self._count_left(queue)
            elif not size and beside and queue is not kept:
                size = queue.drop_oldest(waited_for=False, to_the_last=True)
                if size:
                    self.count(queue, slow=slow)
                else:
                    by_size.leave_out(queue)
            elif size:
                self.count(queue, slow=slow)
            elif queue is kept:
                passed_over = True
                by_size.leave_out(queue)
            else:
                by_size.set_aside(queue)
            least_bytes -= size
        if passed_over and kept is not None:
            self.count(kept, slow=slow)
        return more

    def _count_left(self, queue: Q) -> None:
        left = queue.left_to_history
        if left != queue.counted_left:
            self.left += 1 if left else -1
            queue.counted_left = left

    def _count_behind_first(self, queue: Q, size: int) -> None:
        """Count bytes that have come or gone behind the first message of a queue without large messages."""
        queue.counted_bytes += size
        queue.counted_backlog_bytes += size
        queue.counted_bounded_bytes += size
        self.waiting_bytes += size
        self.backlog_bytes += size
        self._bounded_bytes += size
        if queue.counted_bytes.bit_length() != queue.size_class:
            self._by_size.place(queue, queue.counted_bytes)

    def _count_first(self, queue: Q, size: int) -> None:
        before = self._large_firsts.pop(queue, 0)
        if size > self.limit_bytes // SMALL_PART:
            self._large_firsts[queue] = size
        if self._largest_first is not None and size >= self._largest_first:
            self._largest_first = size
        elif before == self._largest_first:
            self._largest_first = None

    def _first_bytes(self) -> int:
        """Return the size of the largest first message."""
        if self._largest_first is None:
            self._largest_first = max(self._large_firsts.values(), default=0)
        return self._largest_first

    def _call(self, queues: list[Q]) -> None:
        calls = [self._waiters.pop(queue) for queue in queues]
        for call in calls:
            call()
