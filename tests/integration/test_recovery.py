"""A subscription of the SDK goes on where it was, whatever becomes of its connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Backoff, Gap, Subscription, connect, sync
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code, InvalidArgument
from gateway.protocol.names import compile_pattern
from gateway.streams.history import HistoryLimits
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.testing import running_gateway
from tests.integration.proxy import CuttingProxy, cutting_proxy

SEED = 7
QUICK = Backoff(base_s=0.01, cap_s=0.05)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    rules = StreamRules([(compile_pattern("short/**"), StreamConfig(history=HistoryLimits(max_messages=3)))])
    async with running_gateway(Settings(admin_port=None, core=CoreSettings(rules=rules))) as running:
        yield running


@pytest_asyncio.fixture
async def proxy(gateway: Gateway) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(gateway.url) as running:
        yield running


async def taken(subscription: Subscription, count: int) -> list[int]:
    return [(await anext(subscription)).offset for _ in range(count)]


async def test_from_the_beginning_from_an_offset_and_from_a_position(gateway: Gateway) -> None:
    async with connect(gateway.url) as client:
        for number in range(10):
            result = await client.publish("wf/log", np.float32(number), kind="event")
        assert await taken(client.subscribe("wf/log", since="beginning"), 10) == list(range(10))
        assert await taken(client.subscribe("wf/*", since=7), 3) == [7, 8, 9]
        assert await taken(client.subscribe("wf/log", since=(result.epoch, 8)), 2) == [8, 9]
        fresh = client.subscribe("wf/log")
        await fresh.start()
        await client.publish("wf/log", np.float32(10))
        assert await taken(fresh, 1) == [10]
        assert fresh.stats.replayed == 0


@pytest.mark.parametrize("since", ["yesterday", (1, 2, 3), 1.5, (1, "two")])
async def test_a_start_that_names_nothing(gateway: Gateway, since: object) -> None:
    async with connect(gateway.url) as client:
        with pytest.raises(InvalidArgument, match="since="):
            client.subscribe("wf/log", since=since)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(InvalidArgument, match="several"):
            client.subscribe("wf/*", since=(1, 2))


async def test_what_history_has_lost_is_told(gateway: Gateway) -> None:
    gaps: list[Gap] = []
    async with connect(gateway.url) as client:
        for number in range(10):
            await client.publish("short/log", np.full(20_000, number, np.uint8), kind="event")
        assert await taken(client.subscribe("short/log", since=2, on_gap=gaps.append), 3) == [7, 8, 9]
        assert gaps == [Gap("short/log", Code.HISTORY_LOST, 2, 6)]


def test_the_blocking_client_starts_where_it_is_told() -> None:
    async def publish(url: str) -> list[int]:
        async with connect(url) as client:
            for number in range(3):
                await client.publish("wf/log", np.float32(number), kind="event")
        return await asyncio.to_thread(read, url)

    def read(url: str) -> list[int]:
        with sync.connect(url) as client, client.subscribe("wf/log", since=1) as messages:
            return [next(messages).offset for _ in range(2)]

    async def run() -> None:
        async with running_gateway() as gateway:
            assert await publish(gateway.url) == [1, 2]

    asyncio.run(run())


async def test_every_message_once_and_in_order_however_often_the_connection_is_cut(
    gateway: Gateway, proxy: CuttingProxy
) -> None:
    dice = random.Random(SEED)
    total, gaps = 600, list[Gap]()
    async with (
        connect(gateway.url, client_id="publisher") as publisher,
        connect(proxy.url, client_id="reader", backoff=QUICK) as reader,
        reader.subscribe("wf/*", on_gap=gaps.append) as messages,
        reader.subscribe("wf/log") as again,
    ):

        async def publish() -> None:
            for number in range(total):
                size = dice.choice([1, 1, 100, 5000])
                if dice.random() < 0.5:
                    publisher.publish_nowait("wf/log", np.full(size, number, np.int32), kind="event")
                else:
                    await publisher.publish("wf/log", np.full(size, number, np.int32), kind="event")
                if dice.random() < 0.05:
                    proxy.cut()
                await asyncio.sleep(0)
            await publisher.drain()

        publishing = asyncio.create_task(publish())
        for subscription in (messages, again):
            received = [await anext(subscription) for _ in range(total)]
            assert [message.offset for message in received] == list(range(total))
            assert [int(message.tensor[0]) for message in received] == list(range(total))
            assert subscription.stats.received == total
        await publishing
        assert proxy.connected > 2
        assert messages.stats.replayed > 0
        assert gaps == []


async def test_large_messages_and_states_come_through_cuts(gateway: Gateway, proxy: CuttingProxy) -> None:
    dice = np.random.default_rng(SEED)
    arrays = [dice.integers(0, 255, 1_200_000, np.uint8) for _ in range(8)]
    async with (
        connect(gateway.url) as publisher,
        connect(proxy.url, backoff=QUICK) as reader,
        reader.subscribe("wf/event") as events,
        reader.subscribe("wf/state", conflate=False) as states,
    ):

        async def publish() -> None:
            for array in arrays:
                await publisher.publish("wf/state", array, kind="state")
                await publisher.publish("wf/event", array, kind="event")
                proxy.cut()

        publishing = asyncio.create_task(publish())
        for array in arrays:
            assert np.array_equal((await anext(events)).tensor, array)
        await publishing
        offset = -1
        while offset < len(arrays) - 1:
            message = await anext(states)
            assert message.offset > offset
            offset = message.offset
            assert np.array_equal(message.tensor, arrays[offset])
        assert states.stats.received + states.stats.conflated == len(arrays)


async def test_streams_that_came_while_it_was_away_are_given_from_their_beginning(
    gateway: Gateway, proxy: CuttingProxy
) -> None:
    async with (
        connect(gateway.url) as publisher,
        connect(proxy.url, backoff=QUICK) as reader,
        reader.subscribe("wf/*") as messages,
    ):
        proxy.accepting = False
        proxy.cut()
        await publisher.publish("wf/new", np.float32(1), kind="event")
        await publisher.publish("wf/new", np.float32(2), kind="event")
        proxy.accepting = True
        assert await taken(messages, 2) == [0, 1]
