"""Sliced workers: work that takes long, in threads where it releases the GIL, and in slices where it does not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final, TypeVar

from gateway.connections.ports import Steps, Threads
from gateway.connections.slices import Slices
from gateway.errors import release_payloads

T = TypeVar("T")

AT_ONCE: Final = 4
"""Pieces of work of which steps are taken at a time: each holds its results so far, megabytes of text for example."""


class SlicedWorkers:
    """Implementation of :class:`~gateway.connections.ports.Workers`.

    Args:
        threads: do work that releases the GIL.
        slices: take the steps of all other work.
    """

    def __init__(self, threads: Threads, slices: Slices) -> None:
        self._threads = threads
        self._slices = slices
        self._waiting: deque[_SteppedWork] = deque()
        self._begun = 0

    def submit(self, work: Callable[[], T] | Steps[T], done: Callable[[T | BaseException], None]) -> None:
        """Implement :meth:`~gateway.connections.ports.Workers.submit`: first come, first served."""
        if isinstance(work, Generator):
            self._waiting.append(_SteppedWork(work, self._slices, self._threads, partial(self._ended, done)))
            self._begin()
        else:
            self._threads.submit(work, done)

    def _ended(self, done: Callable[[Any], None], result: object) -> None:
        self._begun -= 1
        self._begin()
        done(result)

    def _begin(self) -> None:
        while self._waiting and self._begun < AT_ONCE:
            self._begun += 1
            self._slices.add(self._waiting.popleft().step)


class _SteppedWork:
    """Steps of one piece of work."""

    __slots__ = ("_done", "_result", "_slices", "_steps", "_threads")

    def __init__(
        self, steps: Steps[object], slices: Slices, threads: Threads, done: Callable[[object], object]
    ) -> None:
        self._steps = steps
        self._slices = slices
        self._threads = threads
        self._done = done
        self._result: object = None
        """Result of the function that has run in a thread, until it is handed over."""

    def step(self) -> bool:
        """Take a step; return whether another one can be taken now."""
        result, self._result = self._result, None
        end: object
        try:
            wanted = self._steps.throw(result) if isinstance(result, BaseException) else self._steps.send(result)
        except StopIteration as stop:
            end = stop.value
        except Exception as error:  # noqa: BLE001 - the caller gets the error as the result
            release_payloads(error)
            end = error
        else:
            if wanted is not None:
                self._threads.submit(wanted, self._go_on)
            return wanted is None
        try:
            self._done(end)
        finally:
            del result, end  # an error holds this frame by its traceback
        return False

    def _go_on(self, result: object) -> None:
        self._result = result
        self._slices.add(self.step)


def taken_at_once(steps: Steps[T]) -> T:
    """Take all steps now, on this thread; for work that takes a fraction of a millisecond.

    Raises:
        Exception: the error of a function that the steps have asked for, unless they handle it, or one of their own.
    """
    wanted: Callable[[], object] | None = None
    while True:
        try:
            try:
                result = None if wanted is None else wanted()
            except Exception as error:  # noqa: BLE001 - the steps get it, as from a thread
                wanted = steps.throw(error)
            else:
                wanted = steps.send(result)
        except StopIteration as stop:
            end: T = stop.value
            return end
