"""Encode queue: order of the messages of a stream while some of them are encoded in threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gateway.connections.ports import Workers
from gateway.protocol.reorder_buffer import ReorderBuffer

T = TypeVar("T")

MAX_WAITING = 64
"""Messages and chunks that wait. Past it, threads are slower than the publishers."""


class EncodeQueue(ReorderBuffer):
    """Reorder buffer of one source: it delivers in order, although the work before takes different times.

    Runs on the loop's thread; only the work itself runs elsewhere.
    """

    __slots__ = ("_workers",)

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self._workers = workers

    @property
    def backed_up(self) -> bool:
        """True if so much waits that messages are better delivered as published, to receivers that can read them."""
        return self._slots is not None and len(self._slots) >= MAX_WAITING

    def submit(
        self, work: Callable[[], T], deliver: Callable[[T | BaseException], object], *, next_in_turn: bool = False
    ) -> None:
        """Do ``work`` in a thread, and ``deliver`` its result when all that came before is delivered.

        Args:
            work: runs in a thread.
            deliver: called with the result, or the exception, on the loop's thread.
            next_in_turn: deliver before everything that waits, right behind the delivery that is running now.
        """
        slot = self.reserve_next() if next_in_turn else self.reserve()
        self._workers.submit(work, lambda result: slot.fill(partial(deliver, result)))
