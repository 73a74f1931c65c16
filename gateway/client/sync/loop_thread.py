"""Loop thread: an event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from gateway.client.exit_hook import EXIT_HOOK, OpenClient
from gateway.client.owner import CLOSED, Owner
from gateway.errors import ConnectionFailed, FrysError, UsageError

T = TypeVar("T")

Closing = Callable[[], Coroutine[Any, Any, None]]
"""Function that closes a client, on its loop."""

FINISH_WITHIN_S: Final = 1.0
"""Time after which tasks that still run are cancelled when the loop was stopped."""

logger: Final = logging.getLogger("gateway.client")


class LoopThread(OpenClient):
    """A thread that runs coroutines for others. It is a daemon.

    Args:
        loop_factory: makes the loop, e.g. ``uvloop.new_event_loop``.

    Attributes:
        lock: held while work is given to the loop: work that is given before the loop is told to stop is still run.
        loop: the loop.
        owner: refuses use in a forked process.
        lent: lock that the loop needs for its work, and that no thread holds while it waits for the loop.
        thread: the thread.

    Raises:
        UsageError: the program is ending, and no thread can be started any more.
    """

    def __init__(self, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop = loop_factory()
        self.owner = Owner(self.loop, shared=True)
        self.owner.tell(self)
        self._stopping = False
        self.lock = threading.RLock()
        self.lent: threading.RLock | None = None
        self._closing: Closing | None = None
        self._close_timeout_s = 0.0
        self._last: asyncio.Task[None] | None = None
        self._stopped = False
        self.thread = threading.Thread(target=self._run, name="frys-client", daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:
            self.loop.close()
            raise UsageError(
                f"the program is ending, and no thread for a client can be started any more ({error}): connect before "
                "its main thread ends, or use gateway.client with asyncio"
            ) from None
        except BaseException:  # Ctrl-C: nobody gets this object, and so nobody would end the thread
            self._tell_to_stop()
            raise

    def close_with(self, closing: Closing, close_timeout_s: float) -> None:
        """Close by ``closing``, which takes ``close_timeout_s`` at most, when the program ends or drops the client."""
        self._closing, self._close_timeout_s = closing, close_timeout_s
        EXIT_HOOK.add(self)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result. When the wait is interrupted (Ctrl-C), the coroutine is cancelled.

        Raises:
            UsageError: called from the loop's own thread, e.g. by a progress callback: it would wait for itself. Or the
                client was made in another process, of which this one is a fork.
            ConnectionFailed: the thread has ended, or is about to end.
        """
        future = self._give(work)
        try:
            with released(self.lent):
                return future.result()
        except concurrent.futures.CancelledError:
            raise ConnectionFailed("the client was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise
        finally:
            del future  # its error refers by its traceback to this call: together they would wait for the collector

    def run_unless_closed(self, work: Coroutine[Any, Any, T], closed: Callable[[ConnectionFailed], T]) -> T:
        """Run a coroutine and return its result; of a client that is closed, perhaps meanwhile, that of ``closed``.

        Args:
            work: the coroutine.
            closed: called with the error that :meth:`run` has raised, which it may raise as well.
        """
        try:
            return self.run(work)
        except ConnectionFailed as error:
            if self.alive:
                raise
            return closed(error)

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Let the loop call ``callback``, without waiting for it. No call is made if the thread has ended."""
        self.owner.call_soon(callback)

    def check(self) -> None:
        """Raise in a forked process.

        Raises:
            UsageError: the client was made in another process, of which this one is a fork.
        """
        self.owner.check()

    @property
    def alive(self) -> bool:
        """True until the thread is told to stop."""
        return not self._stopping

    @property
    def forked(self) -> bool:
        """True in a fork of the process that made it."""
        return self.owner.forked

    def stop(self) -> None:
        """End the thread, and wait until it has ended. May be called twice, also by several threads at once.

        Raises:
            UsageError: called from the loop's own thread; or in a forked process.
        """
        self._refuse_own_thread()
        self._tell_to_stop()
        self.thread.join()

    def drop(self) -> None:
        """Close the client and stop the loop, without waiting: the program has dropped the client.

        Called by the thread that has dropped it, or that collects garbage, which may be that of the loop.
        """
        self.owner.call_soon(self._begin_to_close)

    def _give(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Have the loop run a coroutine, and return the future of its result.

        Raises:
            UsageError: called from the loop's own thread, which would wait for itself; or in a forked process.
            ConnectionFailed: the thread has ended, or is about to end.
        """
        try:
            self._refuse_own_thread()
            with self.lock:
                if self._stopping:
                    raise ConnectionFailed(CLOSED)
                return asyncio.run_coroutine_threadsafe(work, self.loop)
        except FrysError:
            work.close()
            raise
        except RuntimeError:  # the loop was closed meanwhile
            work.close()
            raise ConnectionFailed(CLOSED) from None

    def _refuse_own_thread(self) -> None:
        """Raise in the loop's own thread, and in a forked process."""
        self.owner.check()
        if threading.current_thread() is self.thread:
            raise UsageError("a callback of the blocking client must not call it: it would wait for itself")

    def _tell_to_stop(self) -> None:
        """Tell the loop to stop."""
        with self.lock:
            if not self._stopping:
                self._stopping = True
                # Only once: a second stop would interrupt the end of the loop.
                self.owner.call_soon(self._stop)

    # At the exit of the program; see :class:`~gateway.client.exit_hook.OpenClient`.

    def begin_exit(self) -> concurrent.futures.Future[None] | None:
        """Begin to close the client; return the future of its end, None if it is closed already."""
        if self._closing is None or self.owner.forked:
            return None
        try:
            return self._give(self._closing())
        except FrysError:
            return None

    @property
    def stranded(self) -> bool:
        """False: the thread closes the client before the loop."""
        return False

    @property
    def exit_timeout_s(self) -> float:
        """Longest time that closing takes: sending, and waiting for the gateway's answer."""
        return 2 * self._close_timeout_s + FINISH_WITHIN_S

    # In a forked process; see :class:`~gateway.client.owner.ForkedPart`.

    def fork(self, error: UsageError) -> None:
        """Take another lock: a thread that does not run in this forked process may hold this one."""
        self.lock = threading.RLock()

    # On the loop's thread.

    def _begin_to_close(self) -> None:
        if self._stopping or self._last is not None:
            return
        self._last = self.loop.create_task(self._close())

    async def _close(self) -> None:
        try:
            if self._closing is not None:
                await self._closing()
        finally:
            self._tell_to_stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            while not self._stopped:
                self._run_until_stopped()
            for last in (_finish_tasks, self.loop.shutdown_asyncgens, self.loop.shutdown_default_executor):
                self.loop.run_until_complete(last())
        finally:
            self._stopping = True
            EXIT_HOOK.discard(self)
            self.loop.close()

    def _stop(self) -> None:
        self._stopped = True
        self.loop.stop()

    def _run_until_stopped(self) -> None:
        try:
            self.loop.run_forever()
        except BaseException:  # a boundary: all calls of other threads wait for this loop
            logger.exception("a callback of the application ended the loop of the client, which goes on")


@contextmanager
def released(lock: threading.RLock | None) -> Iterator[None]:
    """Let other threads have a lock that this one holds, if it does, because a call that holds it was interrupted."""
    held = 0
    with suppress(RuntimeError):  # raised when this thread does not hold it any more
        while lock is not None:
            lock.release()
            held += 1
    try:
        yield
    finally:
        for _ in range(held):
            assert lock is not None
            lock.acquire()


async def _finish_tasks() -> None:
    """Wait for the calls of other threads, which the close has woken."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=FINISH_WITHIN_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
