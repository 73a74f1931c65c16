"""Tests who may use a client: its own event loop, in its own process."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator

import pytest

from gateway.client.owner import Owner
from gateway.client.report import call_back
from gateway.errors import UsageError


class Part:
    """A part of a client that notes that it is told of a fork."""

    def __init__(self) -> None:
        self.told: list[UsageError] = []

    def fork(self, error: UsageError) -> None:
        self.told.append(error)


async def test_its_own_loop_may_use_it() -> None:
    Owner(asyncio.get_running_loop()).check()


def test_another_loop_may_not() -> None:
    async def make() -> Owner:
        return Owner(asyncio.get_running_loop())

    async def use(owner: Owner) -> None:
        owner.check()

    owner = asyncio.run(make())
    with pytest.raises(UsageError, match="another event loop"):
        asyncio.run(use(owner))
    with pytest.raises(UsageError, match="another event loop"):
        owner.check()


def test_the_thread_of_the_loop_may_use_it_between_two_runs() -> None:
    loop = asyncio.new_event_loop()
    try:
        Owner(loop).check()
    finally:
        loop.close()


async def test_another_thread_may_use_a_shared_one_only() -> None:
    owners = [Owner(asyncio.get_running_loop()), Owner(asyncio.get_running_loop(), shared=True)]
    may: list[bool] = []
    thread = threading.Thread(target=lambda: may.extend([owner.is_caller for owner in owners]))
    thread.start()
    thread.join()
    assert may == [False, True]


async def test_it_calls_back_on_the_loop() -> None:
    called = asyncio.Event()
    owner = Owner(asyncio.get_running_loop())
    thread = threading.Thread(target=owner.call_soon, args=(called.set,))
    thread.start()
    await called.wait()
    thread.join()


async def test_it_calls_back_next_also_from_a_signal_handler_that_interrupts_the_waiting_for_sockets() -> None:
    loop = asyncio.get_running_loop()
    owner, called, wakened = Owner(loop), asyncio.Event(), asyncio.Event()
    owner.call_next(called.set)
    await called.wait()
    interrupted = signal.signal(signal.SIGUSR1, lambda *_: owner.call_next(wakened.set))
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        await wakened.wait()
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, interrupted)


async def test_a_call_that_may_have_interrupted_the_client_is_told_from_one_of_the_program() -> None:
    owner = Owner(asyncio.get_running_loop())
    told: list[bool] = []

    def call() -> None:
        told.append(owner.interrupted(call.__code__))

    call()
    call_back(call)  # as a signal handler while the client works
    asyncio.get_running_loop().call_soon(call)  # as a signal handler while the loop works
    await asyncio.sleep(0)
    assert told == [False, True, True]


def test_the_end_of_asyncio_run_does_not_cancel_its_own_work() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        await asyncio.sleep(0.01)
        ended.append(name)

    async def last() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await own[0]

    async def main() -> None:
        own.append(Owner(asyncio.get_running_loop()).start(work("own")))
        others.append(asyncio.create_task(work("other")))
        kept.append(last())
        await anext(kept[0])
        assert own[0] not in asyncio.all_tasks()

    own: list[asyncio.Task[None]] = []
    others: list[asyncio.Task[None]] = []
    kept: list[AsyncGenerator[None, None]] = []
    asyncio.run(main())
    assert ended == ["own"]
    assert others[0].cancelled()


def test_a_loop_that_is_closed_is_not_called() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    Owner(loop).call_soon(lambda: None)


async def test_after_a_fork_nobody_may_use_it_and_its_parts_are_told() -> None:
    owner = Owner(asyncio.get_running_loop(), shared=True)
    part, dropped = Part(), Part()
    owner.tell(part)
    owner.tell(dropped)
    del dropped
    owner.fork()
    assert len(part.told) == 1
    assert owner.forked
    with pytest.raises(UsageError, match="made in another process"):
        owner.check()
    called: list[int] = []
    owner.call_soon(lambda: called.append(1))
    await asyncio.sleep(0)
    assert called == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_is_noticed() -> None:
    program = """
import asyncio, os
from gateway.client.owner import Owner

owner = Owner(asyncio.new_event_loop())
child = os.fork()
if not child:
    os._exit(3 if owner.forked else 4)
print(owner.forked, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout == "False 3\n"
