"""Keeps the order of a stream while some of its messages are encoded in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from gateway.connections.ports import Workers

T = TypeVar("T")

MAX_WAITING = 64
"""Messages and chunks that wait. Past it, threads are slower than what comes in."""


class _Slot:
    __slots__ = ("deliver",)

    def __init__(self, deliver: Callable[[], object] | None) -> None:
        self.deliver = deliver


class EncodeLane:
    """First in, first out, although the work in between takes different times.

    Runs on the loop's thread; only the work itself runs elsewhere.
    """

    __slots__ = ("_delivering", "_slots", "_workers")

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._slots: deque[_Slot] = deque()
        self._delivering = False

    @property
    def busy(self) -> bool:
        """Whether something is being encoded, so that what follows has to wait."""
        return bool(self._slots)

    @property
    def backed_up(self) -> bool:
        """Whether so much waits that what need not be encoded is better delivered as it came."""
        return len(self._slots) >= MAX_WAITING

    def submit(self, work: Callable[[], T], deliver: Callable[[T | BaseException], object]) -> None:
        """Do ``work`` in a thread and ``deliver`` its result (or exception) when all that came before is delivered."""
        self._submit(len(self._slots), work, deliver)

    def submit_next(self, work: Callable[[], T], deliver: Callable[[T | BaseException], object]) -> None:
        """As :meth:`submit`, of something that belongs before all that waits: behind what is being delivered now."""
        self._submit(int(self._delivering), work, deliver)

    def _submit(self, at: int, work: Callable[[], T], deliver: Callable[[T | BaseException], object]) -> None:
        slot = _Slot(None)
        self._slots.insert(at, slot)

        def done(result: T | BaseException) -> None:
            slot.deliver = lambda: deliver(result)
            self._release()

        self._workers.submit(work, done)

    def follow(self, deliver: Callable[[], object]) -> None:
        """``deliver`` when all that came before is delivered: at once if nothing waits."""
        if self._slots:
            self._slots.append(_Slot(deliver))
        else:
            deliver()

    def _release(self) -> None:
        slots = self._slots
        while slots and slots[0].deliver is not None:
            # The slot stays at the head while it is delivered, so that a delivery that publishes queues up behind it.
            self._delivering = True
            try:
                slots[0].deliver()
            finally:
                self._delivering = False
                slots.popleft()
