"""Observers through the SDK: they see acknowledged streams, and neither hold nor settle anything."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import Client, Gap, Message, Subscription, connect, sync
from gateway.client.options import Backoff
from gateway.config.settings import Settings
from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code, InvalidArgument, UsageError
from gateway.protocol.messages import Credits
from gateway.testing.running import running_gateway
from tests.integration.peer import until
from tests.integration.proxy import cutting_proxy

TASKS = "wf/tasks"
AT_ONCE = Backoff(base_s=0.01, cap_s=0.01)


@asynccontextmanager
async def tasks_under_way(**consumers: float) -> AsyncIterator[tuple[Gateway, Client, Client]]:
    """A gateway with a stream of tasks, a planner and a worker, which has not subscribed yet."""
    settings = ConsumerSettings(**consumers)  # type: ignore[arg-type]
    async with (
        running_gateway(Settings(admin_port=None, core=CoreSettings(consumers=settings))) as gateway,
        connect(gateway.url, client_id="planner") as planner,
        connect(gateway.url, client_id="worker") as worker,
    ):
        await planner.publish(TASKS, None, kind="collaboration")
        yield gateway, planner, worker


def consumers_of(gateway: Gateway) -> list[str]:
    fanouts = [fanout for fanout in gateway.core.hub.fanouts if isinstance(fanout, ConsumerFanout)]
    return [client_id for fanout in fanouts for client_id in fanout.consumers]


async def values(messages: Subscription, count: int) -> list[int]:
    found: list[int] = []
    async for message in messages:
        found.append(int(message.tensor))
        if len(found) == count:
            break
    return found


async def test_a_client_without_a_name_looks_and_cannot_acknowledge() -> None:
    async with tasks_under_way() as (gateway, planner, _), connect(gateway.url) as watcher:
        async with watcher.subscribe("wf/*") as messages:
            await planner.publish(TASKS, np.arange(3))
            message = await anext(messages)
            assert (message.kind, message.offset, message.observed) == ("collaboration", 1, True)
            for answer in (message.ack, message.nack, message.in_progress):
                with pytest.raises(UsageError, match=r"client_id=\.\.\., or subscribe with observe=False"):
                    await answer()
            assert consumers_of(gateway) == []
        async with watcher.subscribe(TASKS, observe=False) as messages:
            await planner.publish(TASKS, np.int64(1))
            await (await anext(messages)).ack()
            assert consumers_of(gateway) == [watcher.client_id]


async def test_arguments_of_a_worker_make_a_worker_and_contradictions_are_refused() -> None:
    async with tasks_under_way() as (gateway, planner, _), connect(gateway.url) as client:
        async with client.subscribe(TASKS, auto_ack=False), client.subscribe("wf/*", credits=Credits(1, 1)):
            await planner.publish(TASKS, np.int64(1))
            assert consumers_of(gateway) == [client.client_id]
        with pytest.raises(InvalidArgument, match="observer acknowledges nothing"):
            client.subscribe(TASKS, observe=True, auto_ack=False)
        with pytest.raises(InvalidArgument, match="observer acknowledges nothing"):
            client.subscribe(TASKS, observe=True, credits=Credits(1, 1))


async def test_both_ways_on_one_connection_give_each_subscription_every_message_once() -> None:
    async with tasks_under_way() as (_, planner, worker):
        async with worker.subscribe(TASKS) as work, worker.subscribe("wf/*", observe=True) as seen:
            for value in range(20):
                await planner.publish(TASKS, np.int64(value))
            worked, looked = await asyncio.gather(values(work, 20), values(seen, 20))
            assert worked == looked == list(range(20))
        assert (work.stats.duplicates, seen.stats.duplicates) == (0, 0)
        assert (await planner.publish(TASKS, np.int64(20))).offset == 21


async def test_an_observer_that_is_cut_off_goes_on_where_it_was_or_is_told_the_gap() -> None:
    gaps: list[Gap] = []
    async with (
        tasks_under_way() as (gateway, planner, _),
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, backoff=AT_ONCE) as watcher,
        watcher.subscribe(TASKS, on_gap=gaps.append) as messages,
    ):
        name = watcher.client_id
        await planner.publish(TASKS, np.int64(1))
        assert await values(messages, 1) == [1]
        proxy.accepting = False
        proxy.cut()
        await observers_of(gateway, 0)
        await planner.publish(TASKS, np.int64(2))
        proxy.accepting = True
        await observers_of(gateway, 1)
        await planner.publish(TASKS, np.int64(3))
        assert await values(messages, 1) == [3]
        assert [(gap.code, gap.first, gap.last) for gap in gaps] == [(Code.HISTORY_LOST, 2, 2)]
        # The name is one that the client tells now: it is still that of an observer.
        assert (watcher.client_id, consumers_of(gateway)) == (name, [])
        assert messages.account == await watcher.account(messages)


async def observers_of(gateway: Gateway, count: int) -> None:
    """Wait until so many observe."""
    await until(lambda: gateway.core.hub.observations.receivers == count)


async def test_large_messages_and_an_observer_that_does_not_read_on() -> None:
    async with (
        tasks_under_way() as (gateway, planner, worker),
        connect(gateway.url, client_type="admin_panel", client_id="panel") as panel,
        panel.subscribe(TASKS, buffer_bytes=1) as seen,
        worker.subscribe(TASKS) as work,
    ):
        for value in range(12):
            await planner.publish(TASKS, np.full(300_000, value))
            assert (await anext(work)).nbytes == 2_400_000
        for value in range(12):
            message: Message = await anext(seen)
            assert (int(message.tensor[0]), message.nbytes) == (value, 2_400_000)
        assert consumers_of(gateway) == ["worker"]


def test_the_blocking_client_says_it_as_well() -> None:
    async def play() -> None:
        async with tasks_under_way() as (gateway, planner, _):
            ready = asyncio.Event()
            loop = asyncio.get_running_loop()

            def look() -> None:
                with sync.connect(gateway.url) as watcher, watcher.subscribe(TASKS) as messages:
                    loop.call_soon_threadsafe(ready.set)
                    message = next(iter(messages))
                    with pytest.raises(UsageError, match="observe=False"):
                        message.ack()
                    with pytest.raises(UsageError, match="observe=False"):
                        message.nack()
                with (
                    sync.connect(gateway.url, client_id="other") as worker,
                    worker.subscribe(TASKS, observe=True) as messages,
                ):
                    loop.call_soon_threadsafe(ready.set)
                    batch = next(messages.batches())
                    with pytest.raises(UsageError, match="observe=False"):
                        batch.ack()

            looking = asyncio.create_task(asyncio.to_thread(look))
            for _ in range(2):
                await ready.wait()
                ready.clear()
                await planner.publish(TASKS, np.int64(1))
            await looking
            assert consumers_of(gateway) == []

    asyncio.run(play())


@pytest.mark.parametrize("options", [[], ["--client-id", "viewer"]])
async def test_frys_sub_that_was_stopped_holds_nothing(options: list[str]) -> None:
    command = [sys.executable, "-m", "gateway", "sub", "**", "--json", *options]
    async with tasks_under_way(limit_bytes=1000, hold_bytes=1) as (gateway, planner, _):
        viewer = await asyncio.create_subprocess_exec(*command, "--url", gateway.url, stdout=PIPE, stderr=PIPE)
        assert viewer.stdout is not None
        assert viewer.stderr is not None
        assert b"subscribed" in await viewer.stderr.readline()
        await planner.publish(TASKS, np.arange(1000))
        assert b"wf/tasks" in await viewer.stdout.readline()
        viewer.send_signal(signal.SIGINT)
        await viewer.communicate()
        for _ in range(5):
            await planner.publish(TASKS, np.arange(1000))
        assert consumers_of(gateway) == []
