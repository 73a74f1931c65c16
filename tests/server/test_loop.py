"""LoopClock and ThreadWorkers: the event loop behind the core's ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from gateway.server.loop import STALL_S, WORKER_NICENESS, LoopClock, ThreadWorkers, sleep


async def test_work_is_done_in_a_thread_and_delivered_on_the_loop() -> None:
    loop = asyncio.get_running_loop()
    workers = ThreadWorkers(loop, 2)
    done: asyncio.Future[tuple[int | BaseException, int]] = loop.create_future()
    workers.submit(threading.get_ident, lambda result: done.set_result((result, threading.get_ident())))
    worked_in, delivered_in = await done
    assert delivered_in == threading.get_ident() != worked_in
    workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
async def test_the_loop_comes_before_the_threads() -> None:
    loop = asyncio.get_running_loop()
    workers = ThreadWorkers(loop, 1)
    done: asyncio.Future[int | BaseException] = loop.create_future()
    workers.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), done.set_result)
    niceness = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert await done == min(niceness + WORKER_NICENESS, 19)
    workers.close()


async def test_an_exception_is_delivered() -> None:
    loop = asyncio.get_running_loop()
    workers = ThreadWorkers(loop, 1)
    done: asyncio.Future[int | float | BaseException] = loop.create_future()
    workers.submit(lambda: 1 / 0, done.set_result)
    assert isinstance(await done, ZeroDivisionError)
    workers.close()


async def test_they_are_busy_until_all_work_has_ended() -> None:
    loop = asyncio.get_running_loop()
    workers, go_on = ThreadWorkers(loop, 1), threading.Event()
    found = [workers.busy]
    done: list[asyncio.Future[object]] = [loop.create_future() for _ in range(3)]
    works: list[Callable[[], object]] = [go_on.wait, lambda: 1 / 0, int]
    for future, work in zip(done, works, strict=True):
        workers.submit(work, future.set_result)
    found.append(workers.busy)
    go_on.set()
    await asyncio.gather(*done)
    assert [*found, workers.busy] == [False, True, False]
    workers.close()


async def test_at_most_so_many_threads_work_at_a_time() -> None:
    loop = asyncio.get_running_loop()
    workers = ThreadWorkers(loop, 2)
    both = threading.Barrier(2)
    done: list[asyncio.Future[int | BaseException]] = [loop.create_future() for _ in range(4)]
    for future in done:
        workers.submit(both.wait, future.set_result)
    assert sorted([await future for future in done]) == [0, 0, 1, 1]  # type: ignore[type-var]
    workers.close()


async def test_closing_waits_for_the_work_and_may_be_done_twice() -> None:
    loop = asyncio.get_running_loop()
    workers = ThreadWorkers(loop, 1)
    worked: list[int] = []
    for number in range(3):
        workers.submit(lambda number=number: worked.append(number), lambda result: None)  # type: ignore[misc]
    workers.close()
    workers.close()
    assert worked == [0, 1, 2]
    with pytest.raises(RuntimeError, match="closed"):
        workers.submit(int, lambda result: None)


AFTER_MAIN = """
import asyncio, threading
from gateway.server.loop import ThreadWorkers

async def main():
    workers = ThreadWorkers(asyncio.get_running_loop(), 2)
    done = asyncio.get_running_loop().create_future()
    workers.submit(lambda: 7, done.set_result)
    print(await done)
    workers.close()

def work():
    threading.main_thread().join()
    asyncio.run(main())

threading.Thread(target=work).start()
"""


def test_they_work_when_the_main_thread_has_ended() -> None:
    ended = subprocess.run([sys.executable, "-c", AFTER_MAIN], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("7\n", "")


async def test_a_call_soon_is_made_in_the_next_turn() -> None:
    clock = LoopClock(asyncio.get_running_loop())
    called: list[str] = []
    clock.call_soon(lambda: called.append("soon"))
    assert not called
    await asyncio.sleep(0)
    assert called == ["soon"]


async def test_a_call_later_is_made_in_its_time() -> None:
    clock = LoopClock(asyncio.get_running_loop())
    called: list[str] = []
    over = asyncio.Event()
    clock.call_later(0.02, over.set)
    clock.call_later(0.01, lambda: called.append("later"))
    clock.call_later(0, lambda: called.append("at once"))
    assert not called
    await over.wait()
    assert called == ["at once", "later"]


async def test_time() -> None:
    clock = LoopClock(asyncio.get_running_loop())
    assert clock.time_ns() > 1_700_000_000 * 10**9
    assert clock.monotonic_s() <= clock.monotonic_s()
    clock.follow()
    assert abs(clock.ahead_ns) < 1_000_000_000


async def _wait_by_clock(delay_s: float) -> None:
    over = asyncio.Event()
    LoopClock(asyncio.get_running_loop()).call_later(delay_s, over.set)
    await over.wait()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("wait", [_wait_by_clock, sleep])
def test_after_a_stall_the_loop_reads_what_has_come_before_time_is_over(
    wait: Callable[[float], Coroutine[None, None, None]], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    loop = new_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    received = bytearray()

    async def judge() -> int:
        loop.add_reader(ours, lambda: received.extend(ours.recv(1024)))
        waiting = asyncio.ensure_future(wait(0.01))
        await asyncio.sleep(0)
        theirs.sendall(bytes(16 * 1024))
        time.sleep(STALL_S + 0.1)  # noqa: ASYNC251 - the stall
        await waiting
        loop.remove_reader(ours)
        return len(received)

    with ours, theirs, contextlib.closing(loop):
        assert loop.run_until_complete(judge()) == 16 * 1024


async def test_a_sleep_that_is_cancelled_as_it_ends_wakes_nobody() -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    sleeping = asyncio.create_task(sleep(0.001))
    await asyncio.sleep(0)
    time.sleep(0.002)  # noqa: ASYNC251 - it is due when it is cancelled
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    await sleep(0.001)
    assert not problems
