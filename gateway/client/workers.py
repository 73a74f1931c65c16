"""Workers: threads for work of the SDK that would hold up the event loop, such as encoding a large payload.

They are not those of asyncio's default executor, which takes no work once the main thread has ended, although programs
go on in other threads and in ``atexit``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

IDLE_S: Final = 0.1
"""Time without work after which a thread ends: to start one takes less than the work that is given to it."""


class Job:
    """Work for a thread, and the future of its result.

    Args:
        loop: event loop of the future.
        work: the work.
    """

    __slots__ = ("_loop", "_work", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], object]) -> None:
        self._loop = loop
        self._work = work
        self.future: asyncio.Future[Any] = loop.create_future()

    def run(self) -> None:
        """Work, unless nobody wants the result any more, and have the result set on the loop."""
        if self.future.cancelled():
            return
        settle: Callable[[], None]
        try:
            settle = partial(self._set_result, self._work())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the result
            settle = partial(self._set_error, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(settle)

    def _set_result(self, result: object) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _set_error(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Hand:
    """Place where a thread without work is given its next job.

    No ``queue.SimpleQueue``: ``get`` of CPython 3.11 waits without limit if its time is over when it is woken in vain.
    """

    __slots__ = ("_given", "_job")

    def __init__(self) -> None:
        self._given = threading.Lock()
        self._given.acquire()
        self._job: Job | None = None

    def put(self, job: Job) -> None:
        """Give a job to the thread, once until it has taken it."""
        self._job = job
        self._given.release()

    def take(self, timeout_s: float) -> Job | None:
        """Wait for a job and return it, None if there was none in time; -1 waits without limit."""
        if not self._given.acquire(timeout=timeout_s):
            return None
        job, self._job = self._job, None
        return job


class DaemonWorkers:
    """Daemon threads, started when there is work for them. Several event loops may share them.

    The thread that has run out of work last is given the next, so that those that are not needed end.

    Args:
        max_threads: number of threads at a time.
    """

    def __init__(self, max_threads: int) -> None:
        self._max_threads = max_threads
        self._start_anew()

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Have ``work`` done in a thread, and return the future of its result, on the running loop.

        The work is done at once if no thread can be started any more, because the interpreter shuts down.
        """
        job = Job(asyncio.get_running_loop(), partial(work, *args, **kwargs))
        with self._lock:
            given = self._give(job)
            self._threads += not given
        if not given:
            self._start_thread(job)
        return job.future

    def _start_anew(self) -> None:
        """Forget all threads: at the start, and in a forked process, which has none of them."""
        self._lock = threading.RLock()
        self._waiting: deque[Job] = deque()
        self._idle: list[Hand] = []
        self._threads = 0

    def _give(self, job: Job) -> bool:
        """Give a job to a thread without work, or keep it if all are at work; return False if one is to be started."""
        if self._idle:
            self._idle.pop().put(job)
        elif self._threads < self._max_threads:
            return False
        else:
            self._waiting.append(job)
        return True

    def _start_thread(self, job: Job) -> None:
        try:
            threading.Thread(target=self._work, args=(job,), name="frys-work", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._threads -= 1
            job.run()

    def _work(self, job: Job | None) -> None:
        hand = Hand()
        while job is not None:
            job.run()
            job = None  # may hold a large array
            job = self._next(hand)

    def _next(self, hand: Hand) -> Job | None:
        """Return the next job for a thread; None if there was none for :data:`IDLE_S`, and the thread is to end."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._idle.append(hand)
        job = hand.take(IDLE_S)
        if job is not None:
            return job
        with self._lock:
            if hand in self._idle:
                self._idle.remove(hand)
                self._threads -= 1
                return None
        return hand.take(-1)  # it was given in this very moment


WORKERS: Final = DaemonWorkers(min(32, (os.cpu_count() or 1) + 4))
"""Threads of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WORKERS._start_anew)
