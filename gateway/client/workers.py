"""Workers: threads for work of the SDK that would hold up the event loop, such as encoding a large payload.

They are not those of asyncio's default executor, which takes no work once the main thread has ended, although programs
go on in other threads and in ``atexit``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
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
            self._open += 1
            self._jobs.put(job)
            short = self._threads < min(self._open, self._max_threads)
            self._threads += short
        if short:
            self._start_thread()
        return job.future

    def _start_anew(self) -> None:
        """Forget all threads: at the start, and in a forked process, which has none of them."""
        self._lock = threading.RLock()
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._open = 0
        """Jobs that are not done."""
        self._threads = 0

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._work, name="frys-work", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._threads -= 1
                alone = not self._threads
            while alone and (job := self._next(0)) is not None:
                self._do(job)

    def _work(self) -> None:
        while True:
            job = self._next(IDLE_S)
            if job is not None:
                self._do(job)
                del job  # may hold a large array
                continue
            with self._lock:
                if self._jobs.empty():
                    self._threads -= 1
                    return

    def _next(self, timeout_s: float) -> Job | None:
        try:
            return self._jobs.get(timeout=timeout_s)
        except Empty:
            return None

    def _do(self, job: Job) -> None:
        job.run()
        with self._lock:
            self._open -= 1


WORKERS: Final = DaemonWorkers(min(32, (os.cpu_count() or 1) + 4))
"""Threads of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WORKERS._start_anew)
