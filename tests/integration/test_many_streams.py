"""A subscription to very many streams comes back, although its positions do not fit a frame."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from gateway.client import Backoff, Client, Subscription, connect
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.protocol.limits import Limits
from gateway.protocol.wire import MIN_CHUNK_BYTES
from gateway.testing import running_gateway
from tests.integration.proxy import Way, cutting_proxy

QUICK = Backoff(base_s=0.01, cap_s=0.05)
NAMES = [f"wf/{number:04}/{'x' * 200}" for number in range(600)]
MESSAGES = np.float32(0)


def settings(max_frame_bytes: int) -> Settings:
    """A gateway that takes frames up to a size."""
    chunk_bytes = max(MIN_CHUNK_BYTES, min(512 * 1024, max_frame_bytes // 2))
    limits = Limits(max_frame_bytes=max_frame_bytes, chunk_bytes=chunk_bytes)
    return Settings(admin_port=None, core=CoreSettings(limits=limits))


async def agree(client: Client, subscription: Subscription) -> None:
    """Wait until all streams are announced; then both sides have the same account."""
    async with asyncio.timeout(20):
        while await client.account(subscription) != subscription.account:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    assert len(subscription.account) == len(NAMES)


@pytest.mark.parametrize("max_frame_bytes", [96 * 1024, 8 * 1024 * 1024])
async def test_it_comes_back_with_its_positions_and_its_accounts(max_frame_bytes: int) -> None:
    async with (
        running_gateway(settings(max_frame_bytes)) as gateway,
        cutting_proxy(gateway.url) as proxy,
        connect(gateway.url) as publisher,
        connect(proxy.url, backoff=QUICK) as reader,
        reader.subscribe("wf/**", since="beginning") as messages,
    ):
        for round_number in range(3):
            for name in NAMES:
                publisher.publish_nowait(name, np.float32(round_number), kind="event")
            await publisher.drain()
            got = [await anext(messages) for _ in NAMES]
            assert sorted(message.stream for message in got) == NAMES
            assert {message.offset for message in got} == {round_number}
            if round_number < 2:
                proxy.cut()
                await proxy.next_connection()
        await agree(reader, messages)
        assert {(counts.delivered, counts.dropped) for counts in messages.account.values()} == {(3, 0)}


@pytest.mark.parametrize("cut_bytes", [40_000, 120_000])
async def test_a_loss_between_two_parts_is_one_more_loss(cut_bytes: int) -> None:
    async with (
        running_gateway() as gateway,
        cutting_proxy(gateway.url) as proxy,
        connect(gateway.url) as publisher,
        connect(proxy.url, backoff=QUICK) as reader,
        reader.subscribe("wf/**") as messages,
    ):
        for offset in range(2):
            for name in NAMES:
                publisher.publish_nowait(name, MESSAGES, kind="event")
            await publisher.drain()
            if offset:
                proxy.cut()
                proxy.cut_after(Way.TO_GATEWAY, cut_bytes)
            got: dict[str, int] = {}
            while len(got) < len(NAMES):
                message = await anext(messages)
                if message.offset == offset:
                    got[message.stream] = message.offset
        await agree(reader, messages)


async def test_a_cancelled_start_between_two_parts_leaves_the_connection_usable() -> None:
    async with (
        running_gateway() as gateway,
        cutting_proxy(gateway.url) as proxy,
        connect(gateway.url) as publisher,
        connect(proxy.url, backoff=QUICK) as reader,
    ):
        first, second = reader.subscribe("wf/**"), reader.subscribe("**")
        for subscription in (first, second):
            await subscription.start()
        for name in NAMES:
            publisher.publish_nowait(name, MESSAGES, kind="event")
        await publisher.drain()
        for subscription in (first, second):
            for _ in NAMES:
                await anext(subscription)
        proxy.cut()
        await first.close()  # while its parts are sent, or before
        await publisher.publish(NAMES[0], MESSAGES)
        async with asyncio.timeout(20):
            assert (await anext(second)).offset == 1
        await agree(reader, second)
