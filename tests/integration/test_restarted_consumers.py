"""Receivers of durable streams that they acknowledge: a gateway that is started again goes on where they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import Backoff, Client, Message, Notice, Subscription, connect
from gateway.config import Settings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code
from gateway.protocol.names import compile_pattern
from gateway.testing import running_gateway
from tests.integration.killed_gateway import KilledGateway
from tests.integration.peer import until

TASKS = "wf/tasks"
QUICK = Backoff(base_s=0.01, cap_s=0.05)


def settings_in(folder: Path, **consumers: float) -> Settings:
    settings = ConsumerSettings(**consumers)  # type: ignore[arg-type]
    core = CoreSettings(consumers=settings)
    return Settings(admin_port=None, drain_deadline_s=0.05, store=f"sqlite:{folder / 'streams.db'}", core=core)


async def publish(client: Client, *values: int, kind: str = "collaboration", expires_in_s: float | None = None) -> None:
    for value in values:
        await client.publish(TASKS, np.int64(value), kind=kind, durability="fsync", expires_in_s=expires_in_s)


async def values_of(messages: AsyncIterator[Message], count: int) -> list[int]:
    return [int((await anext(messages)).tensor) for _ in range(count)]


@asynccontextmanager
async def worker(url: str, client_id: str = "worker") -> AsyncIterator[Subscription]:
    """A client that goes without unsubscribing, and acknowledges what the test does."""
    async with connect(url, client_id=client_id) as client:
        messages = client.subscribe(TASKS, auto_ack=False)
        await messages.start()
        yield messages


def pending(gateway: Gateway) -> int:
    return sum(one.pending for fanout in gateway.core.hub.fanouts.acknowledged for one in fanout.consumers.values())


@pytest.mark.parametrize("kind", ["collaboration", "control"])
async def test_a_new_process_goes_on_where_the_one_before_the_restart_was(tmp_path: Path, kind: str) -> None:
    settings = settings_in(tmp_path)
    async with (
        running_gateway(settings) as gateway,
        connect(gateway.url) as publisher,
        worker(gateway.url) as messages,
    ):
        await publish(publisher, *range(6), kind=kind)
        taken = [await anext(messages) for _ in range(6)]
        for message in (taken[0], taken[1], taken[4]):
            await message.ack()
        await until(lambda: pending(gateway) == 3)
    async with running_gateway(settings) as gateway, connect(gateway.url) as publisher:
        await publish(publisher, 6, kind=kind)
        async with worker(gateway.url) as messages:
            for value in (2, 3, 5, 6):
                message = await anext(messages)
                assert message.tensor == value
                await message.ack()
            await until(lambda: pending(gateway) == 0)
    async with (
        running_gateway(settings) as gateway,
        connect(gateway.url) as publisher,
        worker(gateway.url) as messages,
    ):
        await publish(publisher, 7, kind=kind)
        assert await values_of(messages, 1) == [7]


async def test_after_a_kill_what_was_acknowledged_comes_to_everyone_who_had_not_processed_it(tmp_path: Path) -> None:
    config = tmp_path / "frys.toml"
    config.write_text('store = "sqlite:streams.db"\n')
    large = np.random.default_rng(1).random(400_000)
    async with KilledGateway(config) as gateway:
        await gateway.start()
        async with connect(gateway.url) as publisher, worker(gateway.url, "one"), worker(gateway.url, "other"):
            await publish(publisher, *range(5))
            await publisher.publish(TASKS, large)
            await gateway.kill()
        await gateway.start()
        for name in ("one", "other"):
            async with worker(gateway.url, name) as messages:
                assert await values_of(messages, 5) == list(range(5))
                np.testing.assert_array_equal((await anext(messages)).tensor, large)


async def test_a_worker_that_lives_through_it_gets_nothing_twice(tmp_path: Path) -> None:
    config = tmp_path / "frys.toml"
    config.write_text('store = "sqlite:streams.db"\n')
    seen: list[int] = []
    async with KilledGateway(config) as gateway:
        await gateway.start()
        async with (
            connect(gateway.url, backoff=QUICK) as publisher,
            connect(gateway.url, client_id="worker", backoff=QUICK) as client,
            client.subscribe(TASKS) as messages,
        ):

            async def work() -> None:
                async for message in messages:
                    seen.append(int(message.tensor))
                    if len(seen) == 120:
                        return

            working = asyncio.create_task(work())
            for value in range(120):
                if value % 30 == 29:
                    await gateway.kill()
                    await gateway.start()
                await publish(publisher, value)
            await working
    assert seen == list(range(120))


async def test_who_does_not_come_back_after_it_leaves_dead_letters_as_durable_as_the_stream(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with running_gateway(settings) as gateway, connect(gateway.url) as publisher, worker(gateway.url):
        await publish(publisher, 1, 2)
    hasty = settings_in(tmp_path, consumer_ttl_s=0.01)
    async with running_gateway(hasty) as gateway:
        await until(lambda: not any(fanout.consumers for fanout in gateway.core.hub.fanouts.acknowledged))
        await until(lambda: not any(fanout.held_bytes for fanout in gateway.core.hub.fanouts.acknowledged))
        (dead,) = gateway.core.streams.matching(compile_pattern("**.dead"))
        assert (dead.name, dead.next_offset, dead.durability) == (TASKS + ".dead", 2, "fsync")
    async with running_gateway(settings) as gateway, connect(gateway.url) as client:
        assert not any(fanout.consumers for fanout in gateway.core.hub.fanouts.acknowledged)
        letters = client.subscribe("**.dead", since="beginning")
        assert await values_of(letters, 2) == [1, 2]


async def test_who_has_unsubscribed_is_not_waited_for(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with (
        running_gateway(settings) as gateway,
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="worker") as client,
        client.subscribe(TASKS, auto_ack=False),
    ):
        await publish(publisher, 1)
    async with running_gateway(settings) as gateway:
        assert not any(fanout.consumers for fanout in gateway.core.hub.fanouts.acknowledged)


async def test_what_expires_after_it_is_told_to_its_publisher_as_well(tmp_path: Path) -> None:
    notices: list[Notice] = []
    config = tmp_path / "frys.toml"
    config.write_text('store = "sqlite:streams.db"\n')
    async with KilledGateway(config) as gateway:
        await gateway.start()
        async with connect(gateway.url, client_id="publisher", backoff=QUICK, on_notice=notices.append) as publisher:
            async with worker(gateway.url):
                await publish(publisher, 0, expires_in_s=1.0)
                await publish(publisher, 1)
            await gateway.kill()
            await gateway.start()
            await publish(publisher, 2)
            await until(lambda: notices)
            assert (notices[0].code, notices[0].first, notices[0].client_id) == (Code.EXPIRED, 0, "worker")
        async with worker(gateway.url) as messages:
            assert await values_of(messages, 2) == [1, 2]
