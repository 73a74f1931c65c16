"""Keeps the order of a stream while some of its messages are encoded in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from gateway.connections.ports import Workers

T = TypeVar("T")


class _Slot:
    __slots__ = ("deliver",)

    def __init__(self, deliver: Callable[[], object] | None) -> None:
        self.deliver = deliver


class EncodeLane:
    """First in, first out, although the work in between takes different times.

    Runs on the loop's thread; only the work itself runs elsewhere.
    """

    __slots__ = ("_slots", "_workers")

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._slots: deque[_Slot] = deque()

    @property
    def busy(self) -> bool:
        """Whether something is being encoded, so that what follows has to wait."""
        return bool(self._slots)

    def submit(self, work: Callable[[], T], deliver: Callable[[T | BaseException], object]) -> None:
        """Do ``work`` in a thread and ``deliver`` its result (or exception) when all that came before is delivered."""
        slot = _Slot(None)
        self._slots.append(slot)

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
            slots[0].deliver()
            slots.popleft()
