"""Receivers whose connections break in the middle of large messages: they go on at the first missing chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Backoff, Client, connect
from gateway.client.connecting import Connecting
from gateway.client.subscribing.subscription import Subscription
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.protocol.names import compile_pattern
from gateway.streams.history import HistoryLimits
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.testing import running_gateway
from tests.integration.proxy import CuttingProxy, Way, cutting_proxy

MIB = 1024 * 1024
QUICK = Backoff(base_s=0.001, cap_s=0.01, later_s=0.01)


SETTINGS = Settings(
    admin_port=None,
    drain_deadline_s=2.0,
    core=CoreSettings(
        # Otherwise an event that is whole before its receiver is back may be lost: it is larger than the default.
        rules=StreamRules([(compile_pattern("wf/*"), StreamConfig(history=HistoryLimits(max_bytes=1024 * MIB)))])
    ),
)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway(SETTINGS) as running:
        yield running


@pytest_asyncio.fixture
async def proxy(gateway: Gateway) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(gateway.url) as running:
        yield running


def client_of(url: str, client_id: str) -> Connecting:
    return connect(url, client_id=client_id, backoff=QUICK)


@asynccontextmanager
async def pair(gateway: Gateway, proxy: CuttingProxy, kind: str) -> AsyncIterator[tuple[Client, Subscription]]:
    """A publisher, and a receiver behind the proxy that has got one small message."""
    async with (
        client_of(gateway.url, "trainer") as trainer,
        client_of(proxy.url, "reader") as reader,
        reader.subscribe("wf/*") as messages,
    ):
        await trainer.publish("wf/weights", 0.0, kind=kind)
        await anext(messages)
        yield trainer, messages


def noise(size: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(np.random.default_rng(7).bytes(size), np.uint8)


@pytest.mark.parametrize("kind", ["state", "event"])
async def test_a_tensor_of_256_mb_that_is_cut_at_60_percent_goes_on_at_the_first_missing_chunk(
    gateway: Gateway, proxy: CuttingProxy, kind: str
) -> None:
    value = noise(256 * MIB)
    async with pair(gateway, proxy, kind) as (trainer, messages):
        before = proxy.passed_bytes[Way.TO_CLIENT]
        proxy.cut_after(Way.TO_CLIENT, value.nbytes * 6 // 10)
        publishing = asyncio.ensure_future(trainer.publish("wf/weights", value, codec="none"))
        message = await anext(messages)
        await publishing
        assert proxy.connected == 2
        # What comes twice is at most the chunk that was cut, and what the sockets between held.
        assert value.nbytes < proxy.passed_bytes[Way.TO_CLIENT] - before < value.nbytes + 8 * MIB
        assert np.array_equal(message.tensor, value)
        assert message.offset == 1
        assert (messages.stats.received, messages.stats.failed, messages.stats.dropped) == (2, 0, 0)


@pytest.mark.parametrize("kind", ["state", "event"])
@pytest.mark.parametrize("codec", ["none", "lz4"])
async def test_a_tensor_that_is_cut_many_times_arrives_bit_for_bit(
    gateway: Gateway, proxy: CuttingProxy, codec: str, kind: str
) -> None:
    value = noise(24 * MIB).view(np.int32) if codec == "none" else noise(6 * MIB).astype(np.int32)
    async with pair(gateway, proxy, kind) as (trainer, messages):
        publishing = asyncio.ensure_future(trainer.publish("wf/weights", value, codec=codec))
        for _ in range(5):
            proxy.cut_after(Way.TO_CLIENT, 900_000)
            await proxy.next_connection()
        message = await anext(messages)
        await publishing
        assert message.tensor.tobytes() == value.tobytes()
        assert (messages.stats.received, messages.stats.failed, messages.stats.dropped) == (2, 0, 0)


async def test_a_state_that_is_newer_by_then_comes_instead(gateway: Gateway, proxy: CuttingProxy) -> None:
    async with pair(gateway, proxy, "state") as (trainer, messages):
        proxy.accepting = False
        proxy.cut_after(Way.TO_CLIENT, 3 * MIB)
        await trainer.publish("wf/weights", noise(16 * MIB), codec="none")
        newest = noise(20 * MIB)[::-1].copy()
        await trainer.publish("wf/weights", newest, codec="none")
        proxy.accepting = True
        message = await anext(messages)
        assert message.offset == 2
        assert np.array_equal(message.tensor, newest)
        assert (messages.stats.conflated, messages.stats.failed) == (1, 0)


async def test_a_restarted_gateway_sends_its_own_message_from_the_start(gateway: Gateway, proxy: CuttingProxy) -> None:
    async with pair(gateway, proxy, "state") as (trainer, messages):
        proxy.accepting = False
        proxy.cut_after(Way.TO_CLIENT, 3 * MIB)
        await trainer.publish("wf/weights", noise(16 * MIB), codec="none")
        async with running_gateway() as other:
            value = noise(16 * MIB)[::-1].copy()
            async with client_of(other.url, "trainer") as late:
                await late.publish("wf/weights", value, kind="state", codec="none")
            proxy.lead_to(other.url)
            proxy.accepting = True
            assert np.array_equal((await anext(messages)).tensor, value)
            assert messages.stats.failed == 0
