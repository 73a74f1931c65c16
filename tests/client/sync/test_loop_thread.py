"""Tests the event loop in a thread of its own."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterator

import pytest
import uvloop

from gateway.client.sync import loop_thread
from gateway.client.sync.loop_thread import LoopThread
from gateway.errors import ConnectionFailed, UsageError


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def thread(request: pytest.FixtureRequest) -> Iterator[LoopThread]:
    factory: Callable[[], asyncio.AbstractEventLoop] = request.param
    running = LoopThread(factory)
    yield running
    running.stop()
    assert not running.alive


def test_it_runs_coroutines_in_its_thread(thread: LoopThread) -> None:
    async def where() -> int:
        return threading.get_ident()

    assert thread.run(where()) != threading.get_ident()
    assert thread.run(where()) == thread.run(where())


def test_it_hands_on_exceptions(thread: LoopThread) -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        thread.run(fail())


def test_it_calls_back(thread: LoopThread) -> None:
    called = threading.Event()
    thread.call_soon(called.set)
    assert called.wait(10)


def test_a_thread_that_waits_lets_go_of_the_lock_that_the_loop_needs(thread: LoopThread) -> None:
    async def take() -> bool:
        taken = lock.acquire(timeout=10)  # the thread may not have begun to wait yet
        if taken:
            lock.release()
        return taken

    lock = thread.lent = threading.RLock()
    with lock, lock:
        assert thread.run(take())
        assert not _taken_elsewhere(lock)
    assert _taken_elsewhere(lock)
    assert thread.run(take())


def _taken_elsewhere(lock: threading.RLock) -> bool:
    def take() -> None:
        if lock.acquire(blocking=False):
            lock.release()
            taken.append(True)

    taken: list[bool] = []
    other = threading.Thread(target=take)
    other.start()
    other.join()
    return bool(taken)


def test_waiting_for_itself_is_refused(thread: LoopThread) -> None:
    async def inner() -> None: ...

    async def outer() -> None:
        thread.run(inner())

    with pytest.raises(UsageError, match="wait for itself"):
        thread.run(outer())


def test_after_the_end_it_refuses_work(thread: LoopThread) -> None:
    async def work() -> None: ...

    thread.stop()
    thread.stop()
    thread.call_soon(lambda: None)
    with pytest.raises(ConnectionFailed, match="closed"):
        thread.run(work())


def test_threads_that_stop_it_at_once_end_it_once(thread: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, joining, release = threading.Event(), threading.Semaphore(0), asyncio.Event()
    monkeypatch.setattr(loop_thread, "FINISH_WITHIN_S", 60)
    join = thread.thread.join

    def noted_join() -> None:
        joining.release()
        join()

    monkeypatch.setattr(thread.thread, "join", noted_join)

    async def work() -> str:
        begun.set()
        await release.wait()
        return "done"

    with concurrent.futures.ThreadPoolExecutor() as pool:
        result = pool.submit(lambda: thread.run(work()))
        assert begun.wait(10)
        stops = [pool.submit(thread.stop) for _ in range(2)]
        for _ in stops:
            assert joining.acquire(timeout=10)
        with pytest.raises(ConnectionFailed, match="closed"):
            thread.run(work())
        thread.call_soon(release.set)
        assert result.result(10) == "done"
        for stop in stops:
            stop.result(10)
    assert thread.loop.is_closed()
    with pytest.raises(ConnectionFailed, match="closed"):
        thread.run(work())


def test_work_that_does_not_end_is_cancelled(thread: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_thread, "FINISH_WITHIN_S", 0.05)
    begun, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    caught: list[BaseException] = []

    def call() -> None:
        try:
            thread.run(work())
        except BaseException as error:  # noqa: BLE001 - told below
            caught.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert begun.wait(10)
    thread.stop()
    caller.join(10)
    assert cancelled.is_set()
    assert [type(error) for error in caught] == [ConnectionFailed]


def test_a_thread_whose_start_is_interrupted_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """``Thread.start`` waits until the thread runs, and Ctrl-C may interrupt that."""
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            LoopThread(asyncio.new_event_loop)
    started[0].join(10)
    assert not started[0].is_alive()
