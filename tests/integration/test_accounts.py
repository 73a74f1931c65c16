"""After chaos both ends of a connection say the same of every message: the SDK's account, and the gateway's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Backoff, Client, Subscription, View, connect
from gateway.client.messages.message_run import MessageRun
from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.snapshots import connection_snapshot
from gateway.protocol.names import compile_pattern
from gateway.streams.history import HistoryLimits
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.testing import running_gateway
from tests.client.waiting import until
from tests.integration.proxy import CuttingProxy, Way, cutting_proxy

QUICK = Backoff(base_s=0.01, cap_s=0.05)
SETTLED_S = 20.0


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    rules = StreamRules([(compile_pattern("wf/short"), StreamConfig(history=HistoryLimits(max_bytes=200_000)))])
    delivery = DeliverySettings(outbox_limit_bytes=300_000)
    async with running_gateway(Settings(admin_port=None, core=CoreSettings(rules=rules, delivery=delivery))) as running:
        yield running


@pytest_asyncio.fixture
async def proxy(gateway: Gateway) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(gateway.url) as running:
        yield running


async def agree(client: Client, subscription: Subscription, published: dict[str, int]) -> None:
    """Wait until everything has come; then both accounts are the same, and add up to what was published."""
    async with asyncio.timeout(SETTLED_S):
        while True:
            gateways = await client.account(subscription)
            counts = {
                name: account.delivered + account.conflated + account.dropped for name, account in gateways.items()
            }
            if counts == published and subscription.account == gateways:
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", range(4))
async def test_both_ends_agree_on_every_number(gateway: Gateway, proxy: CuttingProxy, seed: int) -> None:
    dice = random.Random(seed)
    kinds = {"wf/log": "event", "wf/short": "event", "wf/state": "state"}
    published = dict.fromkeys(kinds, 0)
    async with (
        connect(gateway.url) as publisher,
        connect(proxy.url, backoff=QUICK) as reader,
        reader.subscribe("wf/*") as everything,
        reader.subscribe("wf/state", view=View(slice=np.s_[::2])) as view,
    ):

        async def read() -> None:
            async for _ in everything:
                if dice.random() < 0.02:
                    await asyncio.sleep(0.02)

        reading = asyncio.create_task(read())
        for step in range(250):
            name = dice.choice(list(kinds))
            array = np.full(dice.choice([2, 500, 20_000, 200_000]), step, np.int32)
            many = dice.choice([1, 1, 5]) if array.size < 1000 else 1
            for _ in range(many):
                if dice.random() < 0.3:
                    publisher.publish_nowait(name, array, kind=kinds[name])
                else:
                    await publisher.publish(name, array, kind=kinds[name])
                published[name] += 1
            event = dice.random()
            if event < 0.02:
                proxy.cut()
            elif event < 0.05:
                proxy.hold(Way.TO_CLIENT)
            elif event < 0.12:
                proxy.release(Way.TO_CLIENT)
        await publisher.drain()
        proxy.release(Way.TO_CLIENT)
        await agree(reader, everything, {name: count for name, count in published.items() if count})
        assert everything.account["wf/state"].dropped == 0
        await agree(reader, view, {"wf/state": published["wf/state"]})
        reading.cancel()


async def test_a_view_counts_what_its_rate_left_out(gateway: Gateway) -> None:
    async with (
        connect(gateway.url) as client,
        client.subscribe("wf/state", view=View(slice=np.s_[:1], max_rate_hz=20)) as view,
    ):
        for number in range(40):
            await client.publish("wf/state", np.full(4, number, np.float32), kind="state")
        await agree(client, view, {"wf/state": 40})
        assert view.account["wf/state"].conflated > 0


@pytest.mark.parametrize("seed", range(3))
async def test_who_catches_up_on_many_messages_agrees_as_well(
    gateway: Gateway, proxy: CuttingProxy, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off again and again while messages in frames of their own come from history, and others are published."""
    dice = random.Random(seed)
    missed, live = 10_000, 1000
    runs = []
    deliver_run = SubscriptionCore.deliver_run

    def noted(self: SubscriptionCore, run: MessageRun) -> None:
        runs.append(run.count)
        deliver_run(self, run)

    monkeypatch.setattr(SubscriptionCore, "deliver_run", noted)

    async def publish(first: int, count: int) -> None:
        for number in range(first, first + count):  # headers keep them out of record batches
            publisher.publish_nowait("wf/log", np.full(2, number), kind="event", headers={"unit": "m"})
            if number % 100 == 0:
                await asyncio.sleep(0.002)
        await publisher.drain()

    async def read_messages(messages: Subscription) -> None:
        for expected in range(missed + live):
            message = await anext(messages)
            assert (message.offset, message.tensor.tolist()) == (expected, [expected] * 2)
            if expected % 100 == 0:
                await asyncio.sleep(0)
                if dice.random() < 0.1:
                    proxy.cut()

    async def read_batches(messages: Subscription) -> None:
        expected = 0
        while expected < missed + live:
            batch = await messages.next_batch()
            assert batch.offset == expected
            expected += batch.count
            assert np.array_equal(batch.array[:, 1], np.arange(batch.offset, expected))

    async with (
        connect(gateway.url) as publisher,
        connect(proxy.url, backoff=QUICK) as one,
        connect(proxy.url, backoff=QUICK) as other,
    ):
        await publish(0, missed)
        async with one.subscribe("wf/*", since="beginning") as messages, other.subscribe("wf/log", since=0) as batches:
            await asyncio.gather(publish(missed, live), read_messages(messages), read_batches(batches))
            for client, subscription in ((one, messages), (other, batches)):
                await agree(client, subscription, {"wf/log": missed + live})
                assert (subscription.stats.received, subscription.stats.dropped) == (missed + live, 0)
    assert max(runs) > 100
    assert proxy.connected > 3


async def test_both_ends_count_what_the_client_conflates(gateway: Gateway) -> None:
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="slow") as reader,
        reader.subscribe("wf/*") as wide,
        reader.subscribe("wf/pose") as narrow,
        reader.subscribe("wf/pose", view=View(slice=np.s_[::2])) as view,
    ):
        for number in range(20):
            await publisher.publish("wf/pose", np.full(4, number), kind="state")
            await agree(reader, view, {"wf/pose": number + 1})  # no version is left out by the gateway
            if number == 9:
                assert (await anext(narrow)).offset == 9
        await agree(reader, wide, {"wf/pose": 20})
        assert (wide.stats.conflated, narrow.stats.conflated, view.stats.conflated) == (19, 18, 19)
        account = await reader.account(narrow)
        assert account["wf/pose"].client_conflated == 37  # of both subscriptions to the stream
        assert (await reader.account(view))["wf/pose"].client_conflated == 19
        (session,) = [each for each in gateway.core.pool if each.peer.client_id == "slow"]
        assert connection_snapshot(session).client_conflated == 56
    await until(lambda: gateway.core.client_conflated_messages == 56)
