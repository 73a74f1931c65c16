"""Collaboration and control at real sockets with the real SDK: once to the application, whatever the network does."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import numpy as np
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Backoff, Client, Credits, Gap, Message, Notice, connect
from gateway.config import Settings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code, RequestRefused
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind, Subscribe
from gateway.protocol.names import compile_pattern
from gateway.protocol.signals import Credit, Done
from gateway.streams.history import HistoryLimits
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.testing import running_gateway
from tests.integration.peer import publisher_of, raw_peer, until
from tests.integration.proxy import Way, cutting_proxy

TASKS = "wf/tasks"
AT_ONCE = Backoff(base_s=0.001, cap_s=0.01)


def settings_with(consumers: ConsumerSettings) -> Settings:
    return Settings(admin_port=None, drain_deadline_s=2.0, core=CoreSettings(consumers=consumers))


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


async def publish(client: Client, *values: int, kind: str = "collaboration") -> None:
    for value in values:
        await client.publish(TASKS, np.int64(value), kind=kind)


async def values_of(messages: AsyncIterator[Message], count: int) -> list[int]:
    return [int((await anext(messages)).tensor) for _ in range(count)]


@pytest.mark.parametrize("kind", ["collaboration", "control"])
async def test_every_message_once_and_in_order_although_the_receiver_is_cut_off_again_and_again(
    gateway: Gateway, kind: str
) -> None:
    count = 300
    seen: list[int] = []
    async with (
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, client_id="worker", backoff=AT_ONCE) as worker,
        connect(gateway.url, client_id="publisher") as publisher,
        worker.subscribe(TASKS, credits=Credits(20, 1 << 20)) as messages,
    ):

        async def work() -> None:
            async for message in messages:
                seen.append(int(message.tensor))
                if len(seen) % 40 == 0:
                    proxy.cut_after(Way.TO_CLIENT if len(seen) % 80 else Way.TO_GATEWAY, 60)
                if len(seen) == count:
                    return

        working = asyncio.create_task(work())
        await publish(publisher, *range(count), kind=kind)
        await working
    assert seen == list(range(count))
    assert proxy.connected > 3


async def test_answers_that_were_lost_are_given_again(gateway: Gateway) -> None:
    async with (
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, client_id="worker", backoff=AT_ONCE) as worker,
        connect(gateway.url) as publisher,
        worker.subscribe(TASKS) as messages,
    ):
        await publish(publisher, *range(4))
        proxy.swallow(Way.TO_GATEWAY)
        assert await values_of(messages, 4) == [0, 1, 2, 3]
        proxy.cut()
        await publish(publisher, 4)
        assert await values_of(messages, 1) == [4]
        assert messages.stats.duplicates == 4
        await until(lambda: pending(gateway, "worker") == 1)


async def test_publishers_and_receivers_that_are_both_cut_lose_and_double_nothing(gateway: Gateway) -> None:
    count = 200
    seen: list[int] = []
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(cutting_proxy(gateway.url)) for _ in range(2)]
        worker = await stack.enter_async_context(connect(proxies[0].url, client_id="worker", backoff=AT_ONCE))
        publisher = await stack.enter_async_context(connect(proxies[1].url, backoff=AT_ONCE))
        messages = await stack.enter_async_context(worker.subscribe(TASKS))

        async def work() -> None:
            async for message in messages:
                seen.append(int(message.tensor))
                if len(seen) == count:
                    return

        working = asyncio.create_task(work())
        for value in range(count):
            if value % 25 == 24:
                proxies[value // 25 % 2].cut_after(Way.TO_CLIENT, 20)
            await publish(publisher, value)
        await working
    assert seen == list(range(count))


async def test_a_large_message_that_was_cut_comes_again_whole(gateway: Gateway) -> None:
    tensor = np.random.default_rng(1).random(400_000)
    async with (
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, client_id="worker", backoff=AT_ONCE) as worker,
        connect(gateway.url) as publisher,
        worker.subscribe(TASKS) as messages,
    ):
        proxy.cut_after(Way.TO_CLIENT, 1_500_000)
        await publisher.publish(TASKS, tensor, kind="collaboration")
        await publisher.publish(TASKS, np.int64(7))
        np.testing.assert_array_equal((await anext(messages)).tensor, tensor)
        assert (await anext(messages)).tensor == 7
        assert proxy.connected == 2


async def test_every_worker_gets_every_message_at_its_own_pace(gateway: Gateway) -> None:
    async with (
        connect(gateway.url, client_id="quick") as quick,
        connect(gateway.url, client_id="slow") as slow,
        connect(gateway.url) as publisher,
        quick.subscribe(TASKS) as quickly,
        slow.subscribe(TASKS, credits=Credits(2, 1 << 20)) as slowly,
    ):
        await publish(publisher, *range(50))
        assert await values_of(quickly, 50) == list(range(50))
        assert await values_of(slowly, 50) == list(range(50))


async def test_who_restarts_goes_on_where_it_was(gateway: Gateway) -> None:
    async with connect(gateway.url) as publisher:
        async with connect(gateway.url, client_id="worker") as worker:
            messages = worker.subscribe(TASKS)
            await messages.start()
            await publish(publisher, *range(5))
            assert await values_of(messages, 3) == [0, 1, 2]
        await publish(publisher, 5)
        async with connect(gateway.url, client_id="worker") as again, again.subscribe(TASKS) as messages:
            # The third was in its hands.
            assert await values_of(messages, 4) == [2, 3, 4, 5]


async def test_who_drops_a_subscription_without_closing_it_has_not_signed_off(gateway: Gateway) -> None:
    async with connect(gateway.url, client_id="planner") as planner:
        async with connect(gateway.url, client_id="worker") as worker:
            tasks = worker.subscribe(TASKS, auto_ack=False)
            await tasks.start()
            await publish(planner, 0, 1, 2)
            task = await anext(tasks)
            await task.ack()
            del tasks, task
            gc.collect()
        await publish(planner, 3)
        async with connect(gateway.url, client_id="worker") as again, again.subscribe(TASKS) as messages:
            assert await values_of(messages, 3) == [1, 2, 3]


async def test_what_is_never_processed_arrives_among_the_dead_and_its_publisher_is_told() -> None:
    notices: list[Notice] = []
    async with (
        running_gateway(settings_with(ConsumerSettings(max_tries=3))) as gateway,
        connect(gateway.url, client_id="worker") as worker,
        connect(gateway.url, on_notice=notices.append) as publisher,
        publisher.subscribe(TASKS + ".dead") as dead,
        worker.subscribe(TASKS, auto_ack=False) as messages,
    ):
        await publisher.publish(TASKS, np.arange(3), kind="collaboration", headers={"step": 7})
        for _ in range(3):
            await (await anext(messages)).nack()
        letter = await anext(dead)
        np.testing.assert_array_equal(letter.tensor, np.arange(3))
        assert letter.headers["step"] == 7
        assert letter.headers["dead_letter"]["client_id"] == "worker"
        assert letter.headers["dead_letter"]["tries"] == 3
        await until(lambda: bool(notices))
        assert (notices[0].code, notices[0].first, notices[0].client_id) == (Code.DEAD_LETTER, 0, "worker")


async def test_dead_letters_of_every_stream_are_kept_and_found_by_one_pattern() -> None:
    names = [TASKS, "wf/deep/er", "wf/" + "x" * 252]
    rule = StreamConfig(kind=Kind.COLLABORATION, history=HistoryLimits(max_messages=1, max_age_s=1))
    core = CoreSettings(
        consumers=ConsumerSettings(max_tries=1),
        rules=StreamRules([(compile_pattern("wf/**"), rule)]),
        limits=Limits(max_streams=len(names)),
    )
    async with (
        running_gateway(Settings(admin_port=None, drain_deadline_s=2.0, core=core)) as gateway,
        connect(gateway.url, client_id="worker") as worker,
        connect(gateway.url, on_notice=lambda notice: None) as publisher,
    ):
        for name in names:
            async with worker.subscribe(name, auto_ack=False) as messages:
                for value in range(2):
                    await publisher.publish(name, np.int64(value))
                    await (await anext(messages)).nack()
        async with publisher.subscribe("**.dead", since="beginning") as dead:
            letters = [await anext(dead) for _ in range(2 * len(names))]
        found = {(letter.headers["dead_letter"]["stream"], int(letter.tensor)) for letter in letters}
        assert found == {(name, value) for name in names for value in range(2)}
        with pytest.raises(RequestRefused) as refused:
            await publisher.publish(TASKS + ".dead", np.int64(0))
        assert refused.value.code == Code.FORBIDDEN
        for headers in (None, {"a": 1}):
            with pytest.raises(RequestRefused, match="only the gateway publishes"):
                publisher.publish_nowait(TASKS + ".dead", np.int64(0), headers=headers)


async def test_what_expires_is_told_to_both_ends() -> None:
    notices: list[Notice] = []
    gaps: list[Gap] = []
    # Looks at deadlines often.
    settings = settings_with(ConsumerSettings(ack_timeout_s=0.2))
    async with (
        running_gateway(settings) as gateway,
        connect(gateway.url, client_id="worker") as worker,
        connect(gateway.url, on_notice=notices.append) as publisher,
        worker.subscribe(TASKS, credits=Credits(1, 1 << 20), on_gap=gaps.append, auto_ack=False) as messages,
    ):
        await publish(publisher, 0)
        held = await anext(messages)
        await publisher.publish(TASKS, np.int64(1), expires_in_s=0.01)
        await until(lambda: bool(notices))
        assert (notices[0].code, notices[0].first) == (Code.EXPIRED, 1)
        await held.ack()
        await publish(publisher, 2)
        assert await values_of(messages, 1) == [2]
        assert gaps == [Gap(TASKS, Code.EXPIRED, 1, 1)]


async def test_a_publisher_waits_for_a_receiver_that_is_behind() -> None:
    settings = settings_with(ConsumerSettings(hold_bytes=10_000))
    async with (
        running_gateway(settings) as gateway,
        connect(gateway.url, client_id="worker") as worker,
        connect(gateway.url) as publisher,
        worker.subscribe(TASKS) as messages,
    ):
        published: list[int] = []

        async def feed() -> None:
            for value in range(20):
                await publisher.publish(TASKS, np.full(256, value), kind="collaboration")
                published.append(value)

        feeding = asyncio.create_task(feed())
        for value in range(20):
            assert (await anext(messages)).tensor[0] == value
            # Each is some 2600 bytes, so that no more than four are taken ahead of what is processed.
            assert len(published) <= value + 5
        await feeding


async def test_no_more_is_on_the_wire_than_was_granted(gateway: Gateway) -> None:
    async with (
        publisher_of(gateway.url, TASKS, kind=Kind.COLLABORATION) as publisher,
        raw_peer(gateway.url, "worker") as worker,
    ):
        await worker.say(Subscribe(1, 1, TASKS, credits=Credits(3, 1000)))
        await worker.settle()
        for offset in range(20):
            await publisher.publish(0, bytes([offset]), ack=True)
        await publisher.until(lambda reader: sum(ack.count for ack in reader.acks) == 20)
        granted = 3
        stream = worker.reader.stream_id(TASKS)
        while granted < 20:
            await worker.until(lambda reader, granted=granted: len(reader.arrivals) == granted)  # type: ignore[misc]
            await worker.settle()
            assert len(worker.reader.arrivals) == granted
            await worker.send(Done(stream, 0, 0, granted - 1).write())
            await worker.settle()
            assert len(worker.reader.arrivals) == granted
            await worker.send(Credit(1, 1, 1).write())
            granted += 1
        await worker.until(lambda reader: reader.offsets == list(range(20)))


async def test_commands_that_nobody_drains_cut_the_receiver_off_and_wait_for_it() -> None:
    settings = settings_with(ConsumerSettings(max_pending_commands=4))
    async with (
        running_gateway(settings) as gateway,
        raw_peer(gateway.url, "worker") as worker,
        publisher_of(gateway.url, TASKS, kind=Kind.CONTROL) as publisher,
    ):
        await worker.subscribe(TASKS)
        for command in range(6):
            await publisher.publish(0, bytes([command]))
        await publisher.settle()
        assert await worker.closing() == Code.SLOW_CONSUMER
        async with connect(gateway.url, client_id="worker") as again, again.subscribe(TASKS) as messages:
            assert [int((await anext(messages)).tensor[0]) for _ in range(6)] == list(range(6))


async def test_both_ends_keep_the_same_account(gateway: Gateway) -> None:
    async with (
        connect(gateway.url, client_id="worker") as worker,
        connect(gateway.url) as publisher,
        worker.subscribe(TASKS, auto_ack=False) as messages,
    ):
        await publish(publisher, *range(3))
        await (await anext(messages)).ack()
        await (await anext(messages)).nack()
        await (await anext(messages)).ack()
        await (await anext(messages)).ack()
        assert await worker.account(messages) == messages.account
        counts = messages.account[TASKS]
        assert (counts.delivered, counts.replayed) == (4, 1)


def pending(gateway: Gateway, client_id: str) -> int:
    """Messages of all streams that a client has not acknowledged."""
    return sum(
        consumer.pending
        for fanout in gateway.core.hub.fanouts.acknowledged
        for name, consumer in fanout.consumers.items()
        if name == client_id
    )
