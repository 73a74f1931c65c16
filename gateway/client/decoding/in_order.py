"""Finishes things in the order in which they came, though some take longer: decoding runs in threads.

Knows futures only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class InOrder(Generic[T]):
    """One queue, e.g. for the messages of one stream. All methods and callbacks run on the loop."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: deque[tuple[asyncio.Future[Any] | None, Callable[[], None]]] = deque()

    @property
    def idle(self) -> bool:
        """Whether nothing waits, so that what is ready may be finished directly."""
        return not self._queue

    def add_ready(self, finish: Callable[[], None]) -> None:
        """Finish after everything before it; at once if there is nothing."""
        if self._queue:
            self._queue.append((None, finish))
        else:
            finish()

    def add(self, work: asyncio.Future[T], finish: Callable[[asyncio.Future[T]], None]) -> None:
        """Finish with ``work``, when that and everything before it is done."""
        self._queue.append((work, lambda: finish(work)))
        work.add_done_callback(lambda _: self._advance())

    def hold(self, work: asyncio.Future[R], finish: Callable[[asyncio.Future[R]], None]) -> None:
        """Finish with ``work`` before everything that waits: for what has its turn and needs longer than thought."""
        self._queue.appendleft((work, lambda: finish(work)))
        work.add_done_callback(lambda _: self._advance())

    def _advance(self) -> None:
        while self._queue and ((work := self._queue[0][0]) is None or work.done()):
            _, finish = self._queue.popleft()
            finish()
