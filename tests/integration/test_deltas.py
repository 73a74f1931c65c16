"""States that change little, through the SDK and a real gateway: bit for bit, in a fraction of the bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Backoff, Client, Subscription, connect
from gateway.client.subscribing.stream_sink import StreamSink
from gateway.testing import running_gateway
from tests.integration.proxy import CuttingProxy, Way, cutting_proxy

Array = npt.NDArray[Any]
RNG = np.random.default_rng(5)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


@pytest_asyncio.fixture
async def proxy(gateway: Gateway) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(gateway.url) as running:
        yield running


def changed(state: Array) -> Array:
    """The next version: one element in a hundred, at random places."""
    new = state.copy()
    places = RNG.integers(0, state.size, state.size // 100)
    new.flat[places] += 1
    return new


FORMS: dict[str, Array] = {
    "chunks of float32": RNG.normal(size=(512, 1024)).astype(np.float32),
    "one frame of float64": RNG.normal(size=(100, 100)),
    "counters": RNG.integers(0, 1 << 40, (300, 500)),
}


async def exchange(
    client: Client, messages: Subscription, state: Array, count: int, codec: str = "auto"
) -> tuple[Array, int]:
    """Publishes versions, each when the one before has arrived, and compares them; the last one, and its offset."""
    offset = -1
    for _ in range(count):
        state = changed(state)
        result = await client.publish("wf/state", state, kind="state", codec=codec)
        message = await anext(messages)
        while message.offset < result.offset:
            message = await anext(messages)
        assert message.tensor.tobytes() == state.tobytes()
        assert not message.tensor.flags.writeable
        offset = message.offset
    return state, offset


async def warmed_up(
    client: Client, messages: Subscription, state: Array, proxy: CuttingProxy, codec: str = "auto"
) -> tuple[Array, int]:
    """Publishes until a version has come as a delta, for which the gateway takes a sample; the last, and how many."""
    for count in range(1, 1000):
        before = proxy.passed_bytes[Way.TO_CLIENT]
        state, _ = await exchange(client, messages, state, 1, codec)
        if proxy.passed_bytes[Way.TO_CLIENT] - before < 0.1 * state.nbytes:
            return state, count
    raise AssertionError("no version has come as a delta")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("codec", ["auto", "none", "zstd"])
async def test_what_changes_little_takes_little(gateway: Gateway, proxy: CuttingProxy, form: str, codec: str) -> None:
    state = FORMS[form]
    async with (
        connect(gateway.url) as publisher,
        connect(proxy.url) as subscriber,
        subscriber.subscribe("wf/state") as messages,
    ):
        state, count = await warmed_up(publisher, messages, state, proxy, codec)
        before = proxy.passed_bytes[Way.TO_CLIENT]
        await exchange(publisher, messages, state, 10, codec)
        # One of them may be whole: it was this receiver's turn.
        assert proxy.passed_bytes[Way.TO_CLIENT] - before < 1.5 * state.nbytes
        assert messages.stats.received == count + 10
        assert messages.stats.conflated == messages.stats.failed == 0


async def test_after_a_reconnect_the_newest_comes_whole_and_then_deltas(gateway: Gateway, proxy: CuttingProxy) -> None:
    state = FORMS["chunks of float32"]
    async with (
        connect(gateway.url) as publisher,
        connect(proxy.url, backoff=Backoff(base_s=0.01, cap_s=0.05)) as subscriber,
        subscriber.subscribe("wf/state") as messages,
    ):
        count = 0
        for _ in range(3):
            state, more = await warmed_up(publisher, messages, state, proxy)
            count += more
            proxy.cut()
        assert messages.stats.failed == messages.stats.duplicates == 0
        assert messages.stats.received == count


async def test_a_delta_whose_base_is_missing_is_reported_and_the_newest_asked_for(
    gateway: Gateway, proxy: CuttingProxy
) -> None:
    state = FORMS["chunks of float32"]
    errors: list[Exception] = []
    async with (
        connect(gateway.url) as publisher,
        connect(proxy.url) as subscriber,
        subscriber.subscribe("wf/state", on_error=errors.append) as messages,
    ):
        state, count = await warmed_up(publisher, messages, state, proxy)
        (route,) = subscriber._core.subscriptions._sinks.values()
        assert isinstance(route, StreamSink)
        assert route.bases is not None
        route.bases.newest = None
        state, offset = await exchange(publisher, messages, state, 1)
        assert messages.stats.failed == 1
        (error,) = errors
        assert f"a delta of {state.nbytes} bytes to version {offset - 1}; held is none" in str(error)
        await exchange(publisher, messages, state, 3)
        assert messages.stats.failed == 1
        assert messages.stats.received == count + 4


async def test_several_subscribers_of_one_stream_get_the_same(gateway: Gateway) -> None:
    state = FORMS["counters"]
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url) as one,
        connect(gateway.url) as other,
        one.subscribe("wf/state") as first,
        one.subscribe("wf/*") as second,
        other.subscribe("wf/state") as third,
    ):
        for number in range(8):
            state = changed(state)
            await publisher.publish("wf/state", state, kind="state")
            for messages in (first, second, third):
                message = await asyncio.wait_for(anext(messages), 5)
                assert (message.offset, message.tensor.tobytes()) == (number, state.tobytes())
