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


class DaemonWorkers:
    """Daemon threads, started when there is work for them. Several event loops may share them.

    There is no lock, only steps that nobody can interrupt: who holds a lock may be interrupted by a signal handler or a
    finalizer, which may wait for a client whose loop needs the lock.

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
        self._waiting.append(job)
        self._call_thread()
        return job.future

    def _start_anew(self) -> None:
        """Forget all threads: at the start, and in a forked process, which has none of them."""
        self._waiting: deque[Job] = deque()
        self._idle: list[threading.Lock] = []
        """Locks at which threads without work wait; that of the last to run out of work is the last."""
        self._places = [None] * self._max_threads
        """Threads that may still be started."""

    def _call_thread(self) -> None:
        """Have a thread look for jobs: one without work, or a new one. If all are at work, each looks by itself."""
        try:
            self._idle.pop().release()
            return
        except IndexError:
            pass
        try:
            self._places.pop()
        except IndexError:
            return
        try:
            threading.Thread(target=self._work, name="frys-work", daemon=True).start()
        except RuntimeError:
            self._places.append(None)
            while (job := self._next()) is not None:
                job.run()

    def _next(self) -> Job | None:
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def _work(self) -> None:
        called = threading.Lock()
        called.acquire()
        while True:
            job = self._next()
            if job is not None:
                job.run()
                del job  # may hold a large array
            elif not self._wait(called):
                break

    def _wait(self, called: threading.Lock) -> bool:
        """Wait until there is a job; return False if there was none for :data:`IDLE_S`, and the thread is to end.

        At a lock, since ``get`` of a ``queue.SimpleQueue`` waits without limit in CPython 3.11 if its time is over at
        the moment at which it is woken in vain.
        """
        self._idle.append(called)
        if not self._waiting and called.acquire(timeout=IDLE_S):
            return True
        try:
            self._idle.remove(called)
        except ValueError:  # somebody is just calling
            return called.acquire()
        if self._waiting:
            return True
        self._places.append(None)
        if not self._waiting:
            return False
        # A job came when all threads seemed to be at work.
        try:
            self._places.pop()
        except IndexError:  # a new thread has begun meanwhile, and looks for it
            return False
        return True


WORKERS: Final = DaemonWorkers(min(32, (os.cpu_count() or 1) + 4))
"""Threads of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WORKERS._start_anew)
