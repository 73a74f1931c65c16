"""Queue turns: the order in which the queues of one receiver are served, without a look at those that cannot send."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, Protocol, TypeVar

from gateway.streams.run import Source

MAX_READING: Final = 32
"""Queues that wait for history, or for a version that is merged, at a time: each holds up to 256 KiB of history, and a
receiver may have thousands."""


class TurnTaking(Protocol):
    """Queue that takes its turn."""

    @property
    def idle(self) -> bool:
        """Whether everything that has come was sent."""

    @property
    def source(self) -> Source:
        """Stream or inbox whose messages it has."""

    @property
    def needs_link(self) -> bool:
        """Whether nothing can be sent before the link takes a chunk."""

    @property
    def waits(self) -> bool | None:
        """Whether it has begun to wait for history, or for a version that is merged; ``None``: it need not."""


T = TypeVar("T", bound=TurnTaking)


class QueueTurns(Generic[T]):
    """Queues that have something to send, each in one of four places.

    Ready queues have turns in the order in which they were woken, but while any of them is preferred, every other turn
    is one of these. So a queue behind ``n`` ready ones has its turn after at most ``2 n + 1`` others, and a preferred
    one behind ``n`` preferred ones likewise, however many ready ones there are. A preference does not count for what
    waits for the link, which is bulk.

    Attributes:
        ready: queues that may have something to send now, in the order in which they were woken.
    """

    __slots__ = ("_after_preferred", "_blocked", "_preferred", "_reading", "_unread", "ready")

    def __init__(self) -> None:
        # The first of a plain dict is found behind all that were first before.
        self.ready: OrderedDict[T, None] = OrderedDict()
        self._preferred: OrderedDict[T, None] = OrderedDict()
        """Ready queues that are preferred."""
        self._after_preferred = False
        """Whether the last turn was one of these because it was preferred."""
        self._blocked: OrderedDict[T, None] = OrderedDict()
        """Queues that wait for the link."""
        self._reading: dict[T, None] = {}
        """Queues that wait for history, or for a version that is merged."""
        self._unread: OrderedDict[T, None] = OrderedDict()
        """Queues that would, but so many do already. Queues whose messages are in memory do not wait for them."""

    @property
    def idle(self) -> bool:
        """Whether no queue has anything to send."""
        return not (self.ready or self._blocked or self._reading or self._unread)

    def take(self, *, bulk_open: bool) -> T | None:
        """Remove and return the queue that is served next, unless it is :meth:`put_off`.

        Args:
            bulk_open: whether the link takes another chunk; it may have room for only one, so one more queue that has
                waited for it gets its turn.

        Returns:
            ``None``: nothing can be sent now.
        """
        if bulk_open and self._blocked:
            self._add(self._blocked.popitem(last=False)[0])
        if self._unread and len(self._reading) < MAX_READING:
            self._add(self._unread.popitem(last=False)[0])
        return self.take_ready()

    def next_ready(self) -> T | None:
        """Return the ready queue that has its turn next."""
        ready = self._preferred if self._preferred and not self._after_preferred else self.ready
        return next(iter(ready), None)

    def take_ready(self) -> T | None:
        """Remove and return the ready queue that has its turn next."""
        if not self._preferred:
            self._after_preferred = False
            return self.ready.popitem(last=False)[0] if self.ready else None
        queue = self.next_ready()
        assert queue is not None, "a preferred queue is ready"
        self._after_preferred = not self._after_preferred
        del self.ready[queue]
        self._preferred.pop(queue, None)
        return queue

    def reconsider(self, queue: T) -> None:
        """Take note, if a queue is ready, that its source is preferred now, or is not any more."""
        if queue in self.ready:
            self._preferred.pop(queue, None)
            if queue.source.preferred:
                self._preferred[queue] = None

    def _add(self, queue: T) -> None:
        self.ready[queue] = None
        if queue.source.preferred:
            self._preferred[queue] = None

    def put_off(self, queue: T) -> bool:
        """Pass over a queue that was taken, if it would have to wait for what so many wait for; return whether it does.

        There may be thousands of such queues: the caller bounds how many of them are passed over at a time.
        """
        if len(self._reading) < MAX_READING or queue.waits is not False:
            return False
        self._unread[queue] = None
        return True

    def wait(self, queue: T, *, bulk_open: bool) -> None:
        """Pass over a queue that was taken, and could send nothing, until it may be able to."""
        if queue in self.ready or queue.idle:
            return
        if queue.needs_link and not bulk_open:
            self._blocked[queue] = None
        else:
            self._reading[queue] = None

    def wake(self, queue: T, *, came: bool = False) -> None:
        """Serve a queue in its turn, since something has happened to it; not if it can send nothing.

        Args:
            queue: the queue.
            came: whether what it has waited for has come.
        """
        if queue.idle:
            self.remove(queue)
        elif queue not in self.ready and (came or not self._passed_over(queue)):
            self.remove(queue)
            self._add(queue)

    def _passed_over(self, queue: T) -> bool:
        """Return whether a queue waits, and goes on waiting."""
        if queue in self._blocked:
            return queue.needs_link
        return (queue in self._reading and queue.waits is True) or (queue in self._unread and queue.waits is False)

    def remove(self, queue: T) -> None:
        """Pass over a queue for good."""
        self.ready.pop(queue, None)
        self._preferred.pop(queue, None)
        self._blocked.pop(queue, None)
        self._reading.pop(queue, None)
        self._unread.pop(queue, None)

    def clear(self) -> None:
        """Remove all queues."""
        self.ready.clear()
        self._preferred.clear()
        self._blocked.clear()
        self._reading.clear()
        self._unread.clear()
