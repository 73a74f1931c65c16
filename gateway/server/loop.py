"""Adapters of the event loop to the ports of the core: clock and workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, TypeVar

from gateway.errors import release_payloads
from gateway.server.steady_clock import SteadyClock

T = TypeVar("T")

SWITCH_S: Final = 0.0005
"""Longest time for which Python code in a thread keeps the loop waiting, each time that the loop has handled an event.

With Python's 5 ms, an echo on the loop beside one thread of Python code took 15 ms (p99), beside two 23 ms; with this 4
and 9 ms, beside none 2 ms in any case (CPython 3.11, 2 cores, 2026-11).
"""

WORKER_NICENESS: Final = 10
"""Niceness of threads for long work above that of the loop, on Linux. Beside views of 16 MB other messages took 4.5 ms
(p99), and 8.7 ms with threads as nice as the loop. If another program kept the core busy, the messages took 11 ms, and
7 ms with such threads: one that holds the interpreter's lock then waits for the core (``make slow``, 2026-11)."""
STALL_S = 0.5
"""A loop that calls a timer later than this was held up, or its process was suspended."""
MAX_CATCH_UP_S = 2.0
"""Longest time in which clients can show life after that, e.g. connect again, before a time limit is judged."""
READ_TURNS = 32
"""Number of turns in which the loop then reads what has come; a turn reads up to 2 MiB of a socket."""


def keep_threads_brief() -> None:
    """Have Python code in threads of this process give way to the loop after :data:`SWITCH_S`."""
    sys.setswitchinterval(SWITCH_S)


class LoopClock:
    """Implementation of :class:`~gateway.connections.ports.Clock` by an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._steady = SteadyClock()
        self.time_ns = self._steady.time_ns
        self.follow = self._steady.follow
        self.monotonic_s = time.monotonic

    @property
    def ahead_ns(self) -> int:
        """Nanoseconds by which the machine's clock is ahead of :attr:`time_ns`."""
        return self._steady.ahead_ns

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` in the next turn of the loop."""
        self._loop.call_soon(callback)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> None:
        """Call ``callback`` in the first turn after ``delay_s`` seconds.

        If the loop was held up meanwhile, it first reads what has come: time limits are not to pass over answers that
        wait in the sockets.
        """
        due_s = self._loop.time() + delay_s
        self._loop.call_at(due_s, self._due, due_s, callback)

    def _due(self, due_s: float, callback: Callable[[], object]) -> None:
        held_up_s = self._loop.time() - due_s
        if held_up_s < STALL_S:
            callback()
        else:
            self._loop.call_later(min(held_up_s, MAX_CATCH_UP_S), self._after_reading, READ_TURNS, callback)

    def _after_reading(self, turns: int, callback: Callable[[], object]) -> None:
        if turns:
            self._loop.call_soon(self._after_reading, turns - 1, callback)
        else:
            callback()


class _Alarm:
    """Callback of a timer, without arguments.

    ``asyncio.sleep`` passes some, in a tuple. Python gives the room of a tuple to the next one, so that work which
    recurs has it for good: behind a flood each of them kept a megabyte from being given back.
    """

    __slots__ = ("rung",)

    def __init__(self, rung: asyncio.Future[None]) -> None:
        self.rung = rung

    def __call__(self) -> None:
        """Wake the task that waits, unless it has been cancelled."""
        if not self.rung.done():
            self.rung.set_result(None)


async def sleep(delay_s: float) -> None:
    """Wait as long as :meth:`LoopClock.call_later` does."""
    loop = asyncio.get_running_loop()
    due_s = loop.time() + delay_s
    alarm = _Alarm(loop.create_future())
    timer = loop.call_later(delay_s, alarm)
    try:
        await alarm.rung
    finally:
        timer.cancel()
    held_up_s = loop.time() - due_s
    if held_up_s >= STALL_S:
        await asyncio.sleep(min(held_up_s, MAX_CATCH_UP_S))
        for _ in range(READ_TURNS):
            await asyncio.sleep(0)


class ThreadWorkers:
    """Implementation of :class:`~gateway.connections.ports.Threads` by threads of its own.

    They are no executor of ``concurrent.futures``, which takes no work once the main thread has ended: a gateway in
    another thread goes on.

    Args:
        loop: the event loop on which results are delivered.
        threads: number of threads. They run in parallel, because codecs and numpy release the GIL.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self._loop = loop
        self._max_threads = threads
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        """Count of the threads that wait for work."""
        self._threads: list[threading.Thread] = []
        self._submitted = 0
        self._unfinished: set[int] = set()
        """Numbers of the works that have not ended: threads take them out, one atomic step each."""
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether work is queued or under way."""
        return bool(self._unfinished)

    def submit(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Run ``work`` in a thread, then call ``done`` on the loop's thread with its result or exception.

        Raises:
            RuntimeError: the workers are closed.
        """
        if self._closed:
            raise RuntimeError("the workers are closed: the gateway has stopped")

        self._submitted += 1
        number, unfinished = self._submitted, self._unfinished
        unfinished.add(number)

        def run() -> None:
            result: T | BaseException
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - the caller gets the error as the result
                result = error
                release_payloads(error)
            unfinished.discard(number)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(done, result)
            del result  # an error holds this frame by its traceback

        self._jobs.put(run)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._max_threads:
            name = f"frys-encode_{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()

    def close(self) -> None:
        """Wait for the work that has begun or is queued, and end the threads. May be called twice."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self) -> None:
        _come_second()
        while (job := self._jobs.get()) is not None:
            job()
            del job  # may hold a large message
            self._idle.release()


def _come_second() -> None:
    """Have the system prefer other threads to the one that calls this, where threads have a priority."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + WORKER_NICENESS)
