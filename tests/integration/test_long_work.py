"""Workers that take long, at real sockets: who is alive is not taken for dead, and who dies of a task is noticed."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import numpy as np

from gateway.app import Gateway
from gateway.client import Backoff, Client, Message, Notice, connect
from gateway.client.sync import connect as connect_blocking
from gateway.config import Settings
from gateway.connections.consumers.consumer import Consumer
from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.outbound.connection import Connection
from gateway.errors import Code
from gateway.ids import ClientId
from gateway.testing import running_gateway
from tests.integration.peer import until
from tests.integration.proxy import cutting_proxy

TASKS = "wf/tasks"
AT_ONCE = Backoff(base_s=0.001, cap_s=0.01)
ACK_TIMEOUT_S = 0.05
DIES = """
import asyncio, os, sys
from gateway.client import connect

async def main():
    async with connect(sys.argv[1], client_id="worker") as worker, worker.subscribe("wf/tasks") as tasks:
        async for task in tasks:
            if int(task.tensor) == 0:
                os._exit(9)
            return

asyncio.run(main())
"""


class Scene:
    """A gateway that soon takes a worker for dead, and a planner."""

    def __init__(self, gateway: Gateway, planner: Client, notices: list[Notice]) -> None:
        self.gateway = gateway
        self.planner = planner
        self.notices = notices

    async def plan(self, *values: int) -> None:
        for value in values:
            await self.planner.publish(TASKS, np.int64(value), kind="collaboration")

    @property
    def worker(self) -> Consumer:
        (fanout,) = [f for f in self.gateway.core.hub.fanouts.acknowledged if f.source.name == TASKS]
        assert isinstance(fanout, ConsumerFanout)
        return fanout.consumers[ClientId("worker")]

    def served_again(self, before: Connection | None) -> bool:
        """Whether the worker has come back, and has been sent both tasks again."""
        worker = self.worker
        return worker.connection not in (None, before) and worker.redelivered % 2 == 0

    async def probed(self, times: int) -> None:
        """Wait until the gateway has asked the worker so often whether it is still at it, and has got an answer."""
        connection = self.worker.connection
        assert connection is not None
        for _ in range(times):
            before_ns = connection.answered_ns
            await until(lambda: connection.answered_ns > before_ns)  # noqa: B023 - called within this step


@asynccontextmanager
async def scene(max_tries: int = 1, ack_timeout_s: float = ACK_TIMEOUT_S) -> AsyncIterator[Scene]:
    notices: list[Notice] = []
    consumers = ConsumerSettings(max_tries=max_tries, ack_timeout_s=ack_timeout_s)
    settings = Settings(admin_port=None, drain_deadline_s=2.0, core=CoreSettings(consumers=consumers))
    async with (
        running_gateway(settings) as gateway,
        connect(gateway.url, client_id="planner", on_notice=notices.append) as planner,
    ):
        yield Scene(gateway, planner, notices)


async def test_a_task_in_hand_and_those_behind_it_are_in_progress_however_long_it_takes() -> None:
    async with (
        scene() as case,
        connect(case.gateway.url, client_id="worker") as worker,
        worker.subscribe(TASKS, auto_ack=False) as tasks,
    ):
        await case.plan(0, 1, 2)
        task = await anext(tasks)
        await case.probed(5)
        await task.ack()
        await case.probed(5)  # two tasks wait, and the program has none in hand
        for _ in range(2):
            await (await anext(tasks)).ack()
        await until(lambda: not case.worker.pending)
        assert (case.worker.redelivered, case.worker.dead_lettered, case.notices) == (0, 0, [])


async def test_the_body_of_a_loop_that_acknowledges_by_itself_is_in_progress() -> None:
    async with (
        scene() as case,
        connect(case.gateway.url, client_id="worker") as worker,
        worker.subscribe(TASKS) as tasks,
    ):
        await case.plan(0)
        async for _ in tasks:
            await case.probed(5)
            break
        assert (case.worker.redelivered, case.worker.dead_lettered) == (0, 0)


async def test_a_program_that_blocks_its_loop_is_not_taken_for_dead() -> None:
    async with (
        scene() as case,
        connect_in_thread(case.gateway.url) as blocked,
    ):
        await case.plan(0)
        await until(blocked.taken.is_set)
        consumer = case.worker
        await until(lambda: time.monotonic() > blocked.taken_s + 10 * ACK_TIMEOUT_S)
        assert (consumer.redelivered, consumer.dead_lettered) == (0, 0)
        blocked.free.set()
        await until(lambda: not consumer.pending)
        assert (consumer.redelivered, consumer.dead_lettered, case.notices) == (0, 0, [])


class Blocked:
    """A worker in a thread of its own, whose loop stands still while it works."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.taken = threading.Event()
        self.taken_s = 0.0
        self.free = threading.Event()
        self.subscribed = threading.Event()

    def run(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        async with (
            connect(self._url, client_id="worker") as worker,
            worker.subscribe(TASKS, auto_ack=False) as tasks,
        ):
            self.subscribed.set()
            task = await anext(tasks)
            self.taken_s = time.monotonic()
            self.taken.set()
            self.free.wait()
            await task.ack()


@asynccontextmanager
async def connect_in_thread(url: str) -> AsyncIterator[Blocked]:
    blocked = Blocked(url)
    thread = threading.Thread(target=blocked.run)
    thread.start()
    await until(blocked.subscribed.is_set)
    try:
        yield blocked
    finally:
        blocked.free.set()
        await asyncio.to_thread(thread.join)


async def test_a_blocking_program_is_at_its_task_as_long_as_it_holds_it() -> None:
    async with scene() as case:
        held: list[Message] = []
        taken, answered = threading.Event(), threading.Event()

        def work() -> None:
            with (
                connect_blocking(case.gateway.url, client_id="worker") as worker,
                worker.subscribe(TASKS, auto_ack=False) as tasks,
            ):
                worker.publish("wf/ready", np.int64(1))
                held.append(next(tasks))
                held[0].in_progress()  # type: ignore[unused-coroutine]  # the blocking twin
                taken.set()
                answered.wait()
                held[0].ack()  # type: ignore[unused-coroutine]  # the blocking twin

        async with case.planner.subscribe("wf/ready") as ready:
            thread = threading.Thread(target=work)
            thread.start()
            await anext(ready)
        try:
            await case.plan(0)
            consumer = case.worker
            await until(taken.is_set)
            await case.probed(5)
        finally:
            answered.set()
            await asyncio.to_thread(thread.join)
        assert (consumer.redelivered, consumer.dead_lettered, consumer.pending, case.notices) == (0, 0, 0, [])


async def test_a_task_that_the_program_let_go_of_comes_again_and_ends_as_a_dead_letter() -> None:
    async with (
        scene(max_tries=2) as case,
        connect(case.gateway.url, client_id="worker") as worker,
        worker.subscribe(TASKS, auto_ack=False) as tasks,
    ):
        await case.plan(0)
        for _ in range(2):
            task = await anext(tasks)
            del task
        await until(lambda: bool(case.notices))
        assert case.notices[0].code == Code.DEAD_LETTER
        assert tasks.stats.duplicates == 0


async def test_a_flaky_link_alone_never_makes_a_dead_letter() -> None:
    async with (
        scene(max_tries=1, ack_timeout_s=60.0) as case,
        cutting_proxy(case.gateway.url) as proxy,
        connect(proxy.url, client_id="worker", backoff=AT_ONCE) as worker,
        worker.subscribe(TASKS, auto_ack=False) as tasks,
    ):
        await case.plan(0, 1)
        task = await anext(tasks)
        await until(lambda: case.worker.delivered == 2)
        for _ in range(10):
            before = case.worker.connection
            proxy.cut()
            await until(partial(case.served_again, before))
        await task.ack()
        second = await anext(tasks)
        assert int(second.tensor) == 1
        await second.ack()
        await until(lambda: not case.worker.pending)
        assert tasks.stats.received == 2
        assert (case.worker.dead_lettered, case.notices) == (0, [])


async def test_a_task_that_kills_its_worker_each_time_is_a_dead_letter_in_the_end() -> None:
    async with scene(max_tries=2, ack_timeout_s=60.0) as case, case.planner.subscribe(TASKS + ".dead") as dead:
        async with connect(case.gateway.url, client_id="worker") as worker:
            tasks = worker.subscribe(TASKS)
            await tasks.start()
        await case.plan(0, 1)
        codes = []
        for _ in range(3):
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", DIES, case.gateway.url)
            codes.append(await process.wait())
        assert codes == [9, 9, 0]
        letter = await anext(dead)
        assert int(letter.tensor) == 0
        assert letter.headers["dead_letter"]["tries"] == 2
