"""Publishes over connections that break: each message once, in order, at the offset that its publisher was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Backoff, Client, connect
from gateway.client.connecting import Connecting
from gateway.client.sending import send_queue
from gateway.client.subscribing.subscription import Subscription
from gateway.config import Settings
from gateway.testing import running_gateway, running_gateway_process
from tests.integration.proxy import CuttingProxy, Way, cutting_proxy
from tests.integration.test_failing_store import limit_pages

MIB = 1024 * 1024
QUICK = Backoff(base_s=0.001, cap_s=0.01, later_s=0.01)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


@pytest_asyncio.fixture
async def proxy(gateway: Gateway) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(gateway.url) as running:
        yield running


def client_of(url: str, client_id: str) -> Connecting:
    return connect(url, client_id=client_id, backoff=QUICK)


def noise(size: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(np.random.default_rng(7).bytes(size), np.uint8)


@asynccontextmanager
async def pair(gateway: Gateway, proxy: CuttingProxy) -> AsyncIterator[tuple[Client, Subscription]]:
    """A publisher behind the proxy, and what somebody else receives."""
    async with (
        client_of(gateway.url, "reader") as reader,
        client_of(proxy.url, "trainer") as trainer,
        reader.subscribe("wf/*") as messages,
    ):
        yield trainer, messages


async def test_a_publish_whose_acknowledgement_is_lost_gets_its_offset_on_the_next_connection(
    gateway: Gateway, proxy: CuttingProxy
) -> None:
    async with pair(gateway, proxy) as (trainer, messages):
        await trainer.publish("wf/a", 0.0, kind="event")
        proxy.swallow(Way.TO_CLIENT)
        lost = [asyncio.ensure_future(trainer.publish("wf/a", float(step))) for step in (1, 2, 3)]
        received = [float((await anext(messages)).tensor) for _ in range(4)]  # so it was published
        proxy.cut()
        assert [(await each).offset for each in lost] == [1, 2, 3]
        assert (await trainer.publish("wf/a", 4.0)).offset == 4
        received.append(float((await anext(messages)).tensor))
        assert received == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert messages.stats.duplicates == 0


async def test_a_message_of_one_frame_that_is_cut_each_time_arrives_in_parts(
    gateway: Gateway, proxy: CuttingProxy
) -> None:
    async with pair(gateway, proxy) as (trainer, messages):
        await trainer.publish("wf/a", 0.0, kind="event")
        value = noise(MIB)
        proxy.cut_after(Way.TO_GATEWAY, 700_000)
        publishing = asyncio.ensure_future(trainer.publish("wf/a", value, codec="none"))
        for _ in range(2):  # less than the message passes on each connection
            await proxy.next_connection()
            proxy.cut_after(Way.TO_GATEWAY, 700_000)
        assert (await publishing).offset == 1
        assert [(await anext(messages)).offset for _ in range(1)] == [0]
        message = await anext(messages)
        assert message.offset == 1
        assert np.array_equal(message.tensor, value)
        assert messages.stats.duplicates == 0


async def test_a_message_of_one_frame_whose_acknowledgement_is_lost_is_not_sent_again(
    gateway: Gateway, proxy: CuttingProxy
) -> None:
    async with pair(gateway, proxy) as (trainer, messages):
        await trainer.publish("wf/a", 0.0, kind="event")
        proxy.swallow(Way.TO_CLIENT)
        lost = asyncio.ensure_future(trainer.publish("wf/a", noise(MIB), codec="none"))
        assert [(await anext(messages)).offset for _ in range(2)] == [0, 1]
        passed_bytes = proxy.passed_bytes[Way.TO_GATEWAY]
        proxy.cut()
        assert (await lost).offset == 1
        assert proxy.passed_bytes[Way.TO_GATEWAY] - passed_bytes < 100_000
        assert (await trainer.publish("wf/a", 2.0)).offset == 2
        assert (await anext(messages)).offset == 2
        assert messages.stats.duplicates == 0


async def test_publishers_whose_connections_break_all_the_time_lose_and_repeat_nothing(
    gateway: Gateway, proxy: CuttingProxy
) -> None:
    count = 60
    rng = np.random.default_rng(11)

    async def publish(client: Client, mark: int) -> list[int]:
        pending = []
        for step in range(count):
            size = int(rng.choice([1, 100, 30_000, 600_000]))
            value = np.full(size, mark * count + step, np.int32)
            pending.append(asyncio.ensure_future(client.publish("wf/a", value, kind="event", codec="none")))
            if step % 7 == 6:
                await asyncio.gather(*pending)
        return [result.offset for result in await asyncio.gather(*pending)]

    async def cut_now_and_then() -> None:
        while True:
            proxy.cut_after(Way.TO_GATEWAY, int(rng.integers(1, 3 * MIB)))
            await asyncio.sleep(0.02)
            proxy.cut_after(Way.TO_CLIENT, int(rng.integers(1, 400)))
            await asyncio.sleep(0.02)

    async with (
        client_of(gateway.url, "reader") as reader,
        client_of(proxy.url, "one") as one,
        client_of(proxy.url, "two") as two,
        reader.subscribe("wf/*") as messages,
    ):
        cutting = asyncio.create_task(cut_now_and_then())
        offsets = await asyncio.gather(publish(one, 0), publish(two, 1))
        cutting.cancel()
        at = {}
        for _ in range(2 * count):
            message = await anext(messages)
            assert len(set(message.tensor.tolist())) == 1
            at[int(message.tensor[0])] = message.offset
        assert proxy.connected > 2
        for mark in (0, 1):
            assert [at[mark * count + step] for step in range(count)] == offsets[mark] == sorted(offsets[mark])
        assert sorted(at.values()) == list(range(2 * count))


async def test_a_message_that_was_stored_is_not_stored_again_when_the_gateway_was_killed_before_it_said_so(
    tmp_path: Path,
) -> None:
    store = "--store", f"sqlite:{tmp_path / 'streams.db'}"
    with running_gateway_process(*store) as first:
        async with cutting_proxy(first.url) as proxy, client_of(proxy.url, "trainer") as trainer:
            await trainer.publish("wf/a", 0.0, kind="event", durability="os")
            async with client_of(first.url, "reader") as reader, reader.subscribe("wf/a") as messages:
                proxy.swallow(Way.TO_CLIENT)
                publishing = asyncio.ensure_future(trainer.publish("wf/a", 1.0))
                assert (await anext(messages)).offset == 1  # who sees it sees that it is stored
            first.process.kill()
            first.process.wait()
            with running_gateway_process(*store) as second:
                proxy.lead_to(second.url)
                proxy.cut()
                assert (await publishing).offset == 1
                assert (await trainer.publish("wf/a", 2.0)).offset == 2
                async with (
                    client_of(second.url, "reader") as reader,
                    reader.subscribe("wf/a", since="beginning") as messages,
                ):
                    assert [float((await anext(messages)).tensor) for _ in range(3)] == [0.0, 1.0, 2.0]


async def test_a_version_that_another_one_has_replaced_is_known_after_a_restart(tmp_path: Path) -> None:
    """The store holds the newest alone; what became of those before it was not told yet."""
    store = "--store", f"sqlite:{tmp_path / 'streams.db'}"
    with running_gateway_process(*store) as first:
        async with (
            cutting_proxy(first.url) as proxy,
            client_of(proxy.url, "trainer") as trainer,
            client_of(first.url, "other") as other,
        ):
            await trainer.publish("wf/model", 0.0, kind="state", durability="os")
            proxy.swallow(Way.TO_CLIENT)
            publishing = [asyncio.ensure_future(trainer.publish("wf/model", float(step))) for step in (1, 2)]
            async with other.subscribe("wf/model") as messages:
                while (await anext(messages)).offset < 2:
                    pass
            assert (await other.publish("wf/model", 3.0)).offset == 3
            first.process.kill()
            first.process.wait()
            with running_gateway_process(*store) as second:
                proxy.lead_to(second.url)
                proxy.cut()
                assert [(await each).offset for each in publishing] == [1, 2]
                assert (await trainer.publish("wf/model", 4.0)).offset == 4


async def test_a_tensor_of_256_mb_that_is_cut_at_60_percent_goes_on_at_the_first_missing_chunk(
    gateway: Gateway, proxy: CuttingProxy
) -> None:
    value = noise(256 * MIB)
    async with pair(gateway, proxy) as (trainer, messages):
        await trainer.publish("wf/other", 0.0)
        await anext(messages)
        before = proxy.passed_bytes[Way.TO_GATEWAY]
        proxy.cut_after(Way.TO_GATEWAY, value.nbytes * 6 // 10)
        result = await trainer.publish("wf/weights", value, codec="none")
        assert proxy.connected == 2
        passed_bytes = proxy.passed_bytes[Way.TO_GATEWAY] - before
        # What comes twice is at most the chunk that was cut, and what the sockets between held.
        assert value.nbytes < passed_bytes < value.nbytes + 8 * MIB
        message = await anext(messages)
        assert message.offset == result.offset == 0
        assert np.array_equal(message.tensor, value)


@pytest.mark.parametrize("codec", ["none", "lz4"])
async def test_a_tensor_that_is_cut_many_times_arrives_bit_for_bit(
    gateway: Gateway, proxy: CuttingProxy, codec: str
) -> None:
    value = noise(24 * MIB).view(np.int32) if codec == "none" else noise(6 * MIB).astype(np.int32)
    async with pair(gateway, proxy) as (trainer, messages):
        publishing = asyncio.ensure_future(trainer.publish("wf/weights", value, codec=codec))
        for _ in range(5):
            proxy.cut_after(Way.TO_GATEWAY, 700_000)
            await proxy.next_connection()
        await publishing
        message = await anext(messages)
        assert message.tensor.tobytes() == value.tobytes()
        assert message.offset == 0


async def test_a_publish_that_a_full_disk_refused_is_stored_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: asyncio.Event
) -> None:
    monkeypatch.setattr(send_queue, "AGAIN", QUICK)
    settings = Settings(admin_port=None, store=f"sqlite:{tmp_path}/streams.db")
    async with running_gateway(settings) as gateway, connect(gateway.url) as client:
        await client.publish("wf/log", noise(100_000), kind="event", durability="os")
        limit_pages(gateway, 1)
        publishing = [asyncio.ensure_future(client.publish("wf/log", noise(100_000 + n))) for n in range(3)]
        publishing.append(asyncio.ensure_future(client.publish("wf/log", noise(3 * MIB))))
        await refused.wait()
        limit_pages(gateway, 1_000_000)
        assert [(await each).offset for each in publishing] == [1, 2, 3, 4]
        async with client.subscribe("wf/log", since="beginning") as messages:
            sizes = [(await anext(messages)).tensor.size for _ in range(5)]
        assert sizes == [100_000, 100_000, 100_001, 100_002, 3 * MIB]
