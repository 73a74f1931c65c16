"""Adapters of the event loop to the ports of the core: clock and workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class LoopClock:
    """Implementation of :class:`~gateway.connections.ports.Clock` by an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time_ns = time.time_ns
        self.monotonic_s = time.monotonic

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` in the next turn of the loop."""
        self._loop.call_soon(callback)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> None:
        """Call ``callback`` in the first turn after ``delay_s`` seconds."""
        self._loop.call_later(delay_s, callback)


class ThreadWorkers:
    """Implementation of :class:`~gateway.connections.ports.Workers` by a pool of threads.

    Args:
        loop: the event loop on which results are delivered.
        threads: number of threads. They run in parallel, because codecs and numpy release the GIL.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self._loop = loop
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="frys-encode")

    def submit(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Run ``work`` in a thread, then call ``done`` on the loop's thread with its result or exception."""

        def run() -> None:
            result: T | BaseException
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - the caller gets the error as the result
                result = error
            self._loop.call_soon_threadsafe(done, result)

        self._executor.submit(run)

    def close(self) -> None:
        """Wait for the work that has begun or is queued, and end the threads."""
        self._executor.shutdown(wait=True)
