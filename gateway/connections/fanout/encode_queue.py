"""Encode queue: order of the messages of a stream while some of them are encoded in threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gateway.connections.outbound.reading_holds import ReadingHolds
from gateway.connections.ports import Steps, Workers
from gateway.protocol.reorder_buffer import ReorderBuffer

T = TypeVar("T")

MAX_WAITING = 64
"""Messages and chunks that wait. Past it, threads are slower than the publishers."""

MAX_BEHIND = 2 * MAX_WAITING
"""Pieces of work of one stream that wait for threads. Past it, its publishers are not read."""


class EncodeQueue(ReorderBuffer):
    """Reorder buffer of one source: it delivers in order, although the work before takes different times.

    Runs on the loop's thread; only the work itself runs elsewhere.
    """

    __slots__ = ("_workers", "_working")

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self._workers = workers
        self._working = 0
        """Pieces of work that are not done, each as often as it weighs."""

    def hold_back(self, reading: ReadingHolds) -> None:
        """Have nothing more read from a publisher, if too much work waits, until that is done.

        So much waits only if there are receivers that can take the messages in no other form.
        """
        if self._working >= MAX_BEHIND:
            reading.hold(self)
            self.add_ready(partial(reading.release, self))

    @property
    def backed_up(self) -> bool:
        """True if so much waits that messages are better delivered as published, to receivers that can read them."""
        return self._slots is not None and len(self._slots) >= MAX_WAITING

    def submit(
        self,
        work: Callable[[], T] | Steps[T],
        deliver: Callable[[T | BaseException], object],
        *,
        weight: int = 1,
        next_in_turn: bool = False,
    ) -> None:
        """Do ``work``, and ``deliver`` its result when all that came before is delivered.

        Args:
            work: a function that runs in a thread, or steps.
            deliver: called with the result, or the exception, on the loop's thread.
            weight: count of pieces of usual length that take as long.
            next_in_turn: deliver before everything that waits, right behind the delivery that is running now.
        """
        slot = self.reserve_next() if next_in_turn else self.reserve()

        # Late joiners do not come from publishers.
        size = 0 if next_in_turn else weight

        def done(result: T | BaseException) -> None:
            self._working -= size
            slot.fill(partial(deliver, result))

        self._working += size
        self._workers.submit(work, done)
