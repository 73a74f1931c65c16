"""The event loop as the core's ports see it: clock and workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class LoopClock:
    """The :class:`~gateway.connections.ports.Clock` of an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.time_ns = time.time_ns
        self.monotonic_s = time.monotonic

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call back in the next turn of the loop."""
        self._loop.call_soon(callback)

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> None:
        """Call back in a later turn."""
        self._loop.call_later(delay_s, callback)


class ThreadWorkers:
    """The :class:`~gateway.connections.ports.Workers` of an event loop.

    Args:
        loop: where results are delivered.
        threads: how many; codecs and numpy release the GIL.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self._loop = loop
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="frys-encode")

    def submit(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """See the port."""

        def run() -> None:
            result: T | BaseException
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - the caller gets it as the result
                result = error
            self._loop.call_soon_threadsafe(done, result)

        self._executor.submit(run)

    def close(self) -> None:
        """Wait for the work under way."""
        self._executor.shutdown(wait=True)
