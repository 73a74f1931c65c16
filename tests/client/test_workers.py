"""Tests the threads of the SDK: they come with the work, go with it, and do not depend on the main thread."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from gateway.client import workers as workers_module
from gateway.client.workers import IDLE_S, DaemonWorkers
from tests.client.storm import Storm


async def test_work_is_done_in_a_thread() -> None:
    workers = DaemonWorkers(2)
    assert await workers.run(threading.get_ident) != threading.get_ident()
    assert await workers.run(int, "11", base=2) == 3


async def test_errors_are_handed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        await DaemonWorkers(1).run(lambda: 1 / 0)
    with pytest.raises(SystemExit):
        await DaemonWorkers(1).run(sys.exit)


async def test_at_most_so_many_threads_work_at_a_time() -> None:
    workers = DaemonWorkers(2)
    both = threading.Barrier(2)
    assert sorted(await asyncio.gather(*[workers.run(both.wait) for _ in range(4)])) == [0, 0, 1, 1]


async def test_a_thread_without_work_ends() -> None:
    workers = DaemonWorkers(1)
    thread = await workers.run(threading.current_thread)
    assert thread.daemon
    thread.join()
    assert await workers.run(threading.current_thread) is not thread


async def test_a_thread_ends_although_the_process_was_held_up_when_it_was_given_work() -> None:
    workers = DaemonWorkers(2)
    threads: set[threading.Thread] = set()
    for _ in range(10):
        both, release = threading.Barrier(2), threading.Event()

        def work(*waits: Callable[[], object]) -> threading.Thread:
            for wait in waits:
                wait()
            return threading.current_thread()

        held = workers.run(work, both.wait, release.wait)
        threads.add(await workers.run(work, both.wait))
        await asyncio.sleep(IDLE_S / 2)  # one is without work, the other is at it
        before_s = sys.getswitchinterval()
        sys.setswitchinterval(100)
        last = workers.run(int)  # for the one without work, unless the other takes it first
        release.set()
        until_s = time.monotonic() + 2 * IDLE_S
        while time.monotonic() < until_s:
            pass
        sys.setswitchinterval(before_s)
        threads.add(await held)
        await last
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


async def test_threads_that_come_and_go_leave_no_work_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "IDLE_S", 0.0005)
    workers = DaemonWorkers(2)
    for step in range(300):
        assert await asyncio.gather(*[workers.run(int, each) for each in range(step % 5)]) == list(range(step % 5))
        await asyncio.sleep(0.0001 * (step % 11))


async def test_work_may_be_asked_for_while_it_is_being_asked_for() -> None:
    workers = DaemonWorkers(2)
    asked: list[asyncio.Future[int]] = []
    with Storm(lambda _: asked.append(workers.run(int, "7")), workers_module, left=10_000) as storm:
        asked += [workers.run(int, "11") for _ in range(8)]
    assert storm.count > 100
    assert sorted(await asyncio.gather(*asked)) == [7] * storm.count + [11] * 8


async def test_work_that_nobody_waits_for_is_not_begun() -> None:
    workers = DaemonWorkers(1)
    begun, release = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        release.wait()

    held = workers.run(hold)
    assert await asyncio.get_running_loop().run_in_executor(None, begun.wait)
    called: list[int] = []
    cancelled = workers.run(called.append, 1)
    cancelled.cancel()
    release.set()
    await held
    await workers.run(int)
    assert called == []


async def test_without_threads_the_work_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    workers = DaemonWorkers(2)
    assert await workers.run(threading.get_ident) == threading.get_ident()
    assert await workers.run(int, "3") == 3


def test_a_loop_that_is_closed_meanwhile_does_not_end_the_thread() -> None:
    workers = DaemonWorkers(1)
    release = threading.Event()

    async def leave() -> None:
        workers.run(release.wait)

    asyncio.run(leave())
    release.set()

    async def work() -> int:
        return await workers.run(int, "3")

    assert asyncio.run(work()) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    program = """
import asyncio, os
from gateway.client.workers import WORKERS

async def work():
    return await WORKERS.run(os.getpid)

assert asyncio.run(work()) == os.getpid()
child = os.fork()  # the thread without work waits for the next
if not child:
    assert asyncio.run(work()) == os.getpid()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("7\n", "")


@pytest.mark.parametrize("place", ["thread", "atexit"])
def test_they_work_when_the_main_thread_has_ended(place: str) -> None:
    program = """
import asyncio, atexit, sys, threading
from gateway.client.workers import WORKERS

async def work():
    return await WORKERS.run(int, "7")

def later():
    if sys.argv[1] == "thread":
        threading.main_thread().join()
    print(asyncio.run(work()))

threading.Thread(target=later).start() if sys.argv[1] == "thread" else atexit.register(later)
"""
    ended = subprocess.run([sys.executable, "-c", program, place], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("7\n", "")
