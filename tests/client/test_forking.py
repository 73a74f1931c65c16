"""Tests that a forked process, however it ends, leaves its parent's connection and event loop alone."""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import uvloop

from gateway.client import forking
from gateway.client.forking import detach
from gateway.testing import GatewayProcess, running_gateway_process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

TIMEOUT_S = 120
LOOPS = {"asyncio": "asyncio.new_event_loop", "uvloop": "uvloop.new_event_loop"}

PROGRAM = """
import asyncio, gc, multiprocessing, os, signal, sys
import numpy as np
import uvloop
from gateway.client import connect, sync

LARGE = np.random.default_rng(0).integers(0, 255, 16 << 20, dtype=np.uint8)
new_loop, url, gateway, stream = NEW_LOOP, sys.argv[1], int(sys.argv[2]), f"forked/{os.getpid()}"

async def exit_of(child):
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        await asyncio.sleep(0.001)  # not in a thread, whose end would have to wake this loop
    return os.waitstatus_to_exitcode(ended[1])

class Parent:
    async def open(self):
        self.client = await connect(url, client_id="parent", on_error=self.tell)
        self.reader = await connect(url, on_error=self.tell)
        self.messages = self.reader.subscribe(stream)
        await self.messages.start()
        self.sessions = [self.client._core.session, self.reader._core.session]
        self.sent = self.came = 0
        await self.publish(1.0)
        await asyncio.to_thread(int)  # from now on the loop has threads of its own

    def tell(self, error):
        print("error", error)

    async def publish(self, value):
        self.sent += 1
        await self.client.publish(stream, value, kind="event", codec="none")

    def publish_nowait(self, value):
        self.sent += 1
        self.client.publish_nowait(stream, value, kind="event")

    async def publish_under_way(self):
        '''Begin to publish, and return when bytes wait in this process.'''
        os.kill(gateway, signal.SIGSTOP)
        publishing = asyncio.ensure_future(self.publish(LARGE))
        while not self.client._core.session.unsent_bytes:
            await asyncio.sleep(0.001)
        return publishing

    async def check(self):
        '''Everything arrives, in order, on the same connections, and threads wake the loop.'''
        self.publish_nowait(3.0)
        await self.publish(LARGE)
        await self.publish(4.0)
        for _ in range(10):
            await asyncio.to_thread(int)
        while self.came < self.sent:
            assert (await anext(self.messages)).offset == self.came
            self.came += 1
        assert [self.client._core.session, self.reader._core.session] == self.sessions
        print("parent", self.client.state)

    async def close(self):
        await self.client.close()
        await self.reader.close()
"""

ENDINGS = {"sys.exit": "sys.exit(7)", "an exception": "raise SystemExit(7) from ValueError()", "a return": "return 7"}


Run = Callable[[str, str], list[str]]


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayProcess]:
    with running_gateway_process("--no-admin") as process:
        yield process


@pytest.fixture
def run(gateway: GatewayProcess) -> Iterator[Run]:
    """Runs a program on a loop, and returns the lines that it prints: it has to end in order and say nothing else."""
    yield partial(output_of, gateway)
    gateway.process.send_signal(signal.SIGCONT)


def output_of(gateway: GatewayProcess, program: str, loop: str) -> list[str]:
    code = PROGRAM.replace("NEW_LOOP", LOOPS[loop]) + program
    command = [sys.executable, "-u", "-c", code, gateway.url, str(gateway.process.pid)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_a_child_that_unwinds_the_loop_while_bytes_wait_to_be_sent(run: Run, loop: str, ending: str) -> None:
    program = """
async def main():
    parent = Parent()
    await parent.open()
    publishing = await parent.publish_under_way()
    child = os.fork()
    if not child:
        publishing.cancel()
        ENDING
    parent.publish_nowait(2.0)
    print("child", await exit_of(child), flush=True)
    os.kill(gateway, signal.SIGCONT)
    await publishing
    await parent.check()
    await parent.close()

with asyncio.Runner(loop_factory=new_loop) as runner:
    code = runner.run(main())
sys.exit(code)
"""
    assert run(program.replace("ENDING", ending), loop) == ["child 7", "parent connected"]


@pytest.mark.parametrize("loop", LOOPS)
def test_children_that_unwind_an_idle_loop_one_after_the_other(run: Run, loop: str) -> None:
    program = """
async def main():
    parent = Parent()
    await parent.open()
    for _ in range(5):
        child = os.fork()
        if not child:
            sys.exit(7)
        parent.publish_nowait(2.0)
        assert await exit_of(child) == 7
        await parent.check()
    await parent.close()

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""
    assert run(program, loop) == ["parent connected"] * 5


@pytest.mark.parametrize("loop", LOOPS)
def test_a_child_that_closes_the_loop_between_two_runs(run: Run, loop: str) -> None:
    program = """
parent = Parent()
with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(parent.open())
    publishing = runner.run(parent.publish_under_way())
    child = os.fork()
    if not child:
        sys.exit(7)
    print("child", runner.run(exit_of(child)), flush=True)
    os.kill(gateway, signal.SIGCONT)

    async def finish():
        await publishing
        await parent.check()
        await parent.close()

    runner.run(finish())
"""
    assert run(program, loop) == ["child 7", "parent connected"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_process_of_multiprocessing_has_a_loop_and_a_client_of_its_own(run: Run, loop: str) -> None:
    program = """
async def publish():
    async with connect(url, client_id="child") as client:
        await client.publish(stream, 2.0, kind="event")
    await asyncio.to_thread(int)

def work():
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(publish())
    gc.collect()
    sys.exit(7)

async def main():
    parent = Parent()
    await parent.open()
    publishing = await parent.publish_under_way()
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    parent.sent += 1
    os.kill(gateway, signal.SIGCONT)
    await publishing
    await asyncio.to_thread(process.join)
    print("child", process.exitcode)
    await parent.check()
    await parent.close()

with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
"""
    assert run(program, loop) == ["child 7", "parent connected"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_child_of_a_program_with_a_blocking_client(run: Run, loop: str) -> None:
    """Its loop does not run in the child; it is collected there, with all that it holds."""
    program = """
import threading

client = sync.connect(url, client_id="parent", loop_factory=new_loop, on_error=print)
session = client._core.session
client.publish(stream, 1.0, kind="event")
os.kill(gateway, signal.SIGSTOP)
publishing = threading.Thread(target=client.publish, args=(stream, LARGE), kwargs={"codec": "none"})
publishing.start()

async def unsent_bytes():
    return session.unsent_bytes

while not client._thread.run(unsent_bytes()):
    pass
child = os.fork()
if not child:
    client.close()
    del client, session
    gc.collect()
    sys.exit(7)
client.publish_nowait(stream, 2.0)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os.kill(gateway, signal.SIGCONT)
publishing.join()
print("offset", client.publish(stream, LARGE, codec="none").offset, client._core.session is session)
client.close()
"""
    assert run(program, loop) == ["child 7", "offset 3 True"]


async def test_a_loop_of_another_kind_is_left_as_it_is() -> None:
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    detach(loop)
    assert await asyncio.to_thread(loop.run_until_complete, asyncio.to_thread(int)) == 0
    loop.close()
    detach(loop)


def test_a_libuv_without_epoll_is_asked_to_fork_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_descriptors_in", lambda epoll: [])
    monkeypatch.delattr(select, "epoll")
    loop = uvloop.new_event_loop()
    detach(loop)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
