"""Loop thread: an event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from gateway.errors import ConnectionFailed, FrysError, UsageError

T = TypeVar("T")

FINISH_WITHIN_S: Final = 1.0
"""Time after which tasks that still run are cancelled when the loop was stopped."""


class LoopThread:
    """A thread that runs coroutines for others. It is a daemon: a program that forgets to close it can still exit.

    Args:
        loop_factory: makes the loop, e.g. ``uvloop.new_event_loop``.
    """

    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._loop = loop_factory()
        self._stopping = False
        self._lock = threading.RLock()
        """Held while work is given to the loop: work that is given before the loop is told to stop is still run."""
        self._thread = threading.Thread(target=self._run, name="frys-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result. When the wait is interrupted (Ctrl-C), the coroutine is cancelled.

        Raises:
            UsageError: called from the loop's own thread, e.g. by a progress callback: it would wait for itself.
            ConnectionFailed: the thread has ended, or is about to end.
        """
        try:
            self._refuse_own_thread()
            with self._lock:
                if self._stopping:
                    raise ConnectionFailed("the client is closed")
                future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except FrysError:
            work.close()
            raise
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Let the loop call ``callback``, without waiting for it. No call is made if the thread has ended."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(callback)

    @property
    def alive(self) -> bool:
        """True until the thread is told to stop."""
        return not self._stopping

    def stop(self) -> None:
        """End the thread, and wait until it has ended. May be called twice, also by several threads at once.

        Raises:
            UsageError: called from the loop's own thread.
        """
        self._refuse_own_thread()
        with self._lock:
            if not self._stopping:
                self._stopping = True
                # Only once: a second stop would interrupt the end of the loop.
                self.call_soon(self._loop.stop)
        self._thread.join()

    def _refuse_own_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise UsageError("a callback of the blocking client must not call it: it would wait for itself")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_finish_tasks())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()


async def _finish_tasks() -> None:
    """Wait for the calls of other threads, which the close has woken."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=FINISH_WITHIN_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
