"""States that are published in parts, with the real SDK, a real gateway, and everything that can read it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Client, Message, connect
from gateway.client.sync import connect as connect_blocking
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.names import compile_pattern
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.testing import running_gateway
from tests.protocol.strategies import Array

STREAM = "wf/field"
SMALL, LARGE = (16, 24), (1200, 1000)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway(Settings(drain_deadline_s=2.0)) as running:
        yield running


@pytest_asyncio.fixture
async def pair(gateway: Gateway) -> AsyncIterator[tuple[Client, Client]]:
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(connect(gateway.url, client_id="alice")),
            await stack.enter_async_context(connect(gateway.url, client_id="bob")),
        )


async def received(messages: AsyncIterator[Message], offset: int) -> list[Message]:
    """All messages up to this offset."""
    found: list[Message] = []
    async with asyncio.timeout(20):
        while not found or found[-1].offset < offset:
            found.append(await anext(messages))
    return found


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
async def test_receivers_get_the_merged_array_and_what_has_changed(
    pair: tuple[Client, Client], shape: tuple[int, int]
) -> None:
    alice, bob = pair
    rng = np.random.default_rng(3)
    states = [rng.random(shape, np.float32)]
    async with bob.subscribe("wf/*", conflate=False) as messages:
        await alice.publish(STREAM, states[0], headers={"step": 0})
        first = await anext(messages)
        # A row, a column with a step, and enough of it to travel in chunks.
        keys: list[Any] = [np.s_[3, :], np.s_[:, 2::5], np.s_[: shape[0] * 9 // 10, 1:]]
        for step, key in enumerate(keys, start=1):
            state = states[-1].copy()
            patch = rng.random(state[key].shape, np.float32)
            state[key] = patch
            states.append(state)
            result = await alice.publish(STREAM, patch, region=key, headers={"step": step})
            assert result.offset == step
        got = [first, *await received(messages, 3)]
    for message in got:
        np.testing.assert_array_equal(message.tensor, states[message.offset])
        assert message.headers == {"step": message.offset}
        assert not message.tensor.flags.writeable
    assert (got[0].region, got[0].patch, got[0].patched) == (None, None, None)
    # One that lags may have got a large version whole.
    patched = [message for message in got if message.region is not None]
    assert len(patched) == 3 or shape == LARGE
    for message in patched:
        assert message.region is not None
        assert message.patch is not None
        assert message.patched == ""
        assert not message.patch.flags.writeable
        np.testing.assert_array_equal(message.tensor[message.region], message.patch)


async def test_late_joiners_downloads_and_blocking_clients_get_the_whole_state(
    gateway: Gateway, pair: tuple[Client, Client]
) -> None:
    alice, bob = pair
    state = np.zeros(LARGE, np.float32)
    await alice.publish(STREAM, state)
    for step in range(5):
        state[step * 7] = step
        await alice.publish(STREAM, state[step * 7], region=np.s_[step * 7, :])
    async with bob.subscribe(STREAM, conflate=False) as messages:
        late = await anext(messages)
    np.testing.assert_array_equal(late.tensor, state)
    assert (late.offset, late.region) == (5, None)
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{gateway.admin_url}/api/v1/streams/{STREAM}")
    assert answer.headers["x-frys-offset"] == "5"
    np.testing.assert_array_equal(np.load(io.BytesIO(answer.content)), state)

    def block() -> Array:
        with connect_blocking(gateway.url) as client, client.subscribe(STREAM, conflate=False) as messages:
            client.publish(STREAM, np.ones((1, 1), np.float32), region=np.s_[0:1, 0:1])
            return next(message.tensor for message in messages if message.offset == 6)

    state[0, 0] = 1
    np.testing.assert_array_equal(await asyncio.to_thread(block), state)


async def test_named_tensors_and_their_schema(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    schema = {"tensors": {"w": {"dtype": "float32", "shape": [4, None]}, "b": {"dtype": "int64", "shape": [4]}}}
    whole: dict[str, Array] = {"w": np.zeros((4, 3), np.float32), "b": np.zeros(4, np.int64)}
    async with bob.subscribe(STREAM, conflate=False) as messages:
        await alice.publish(STREAM, whole, schema=schema)
        await alice.publish(STREAM, np.array([5, 6]), region=np.s_[-2:], tensor="b")
        (_, message) = await received(messages, 1)
    assert message.patched == "b"
    assert message.tensors["b"].tolist() == [0, 0, 5, 6]
    assert message.tensors["w"].tolist() == whole["w"].tolist()
    with pytest.raises(RequestRefused, match=r"w: float32\[4, \*\]; the message has w: float32\[5, 3\]") as refusal:
        await alice.publish(STREAM, {"w": np.zeros((5, 3), np.float32), "b": np.zeros(4, np.int64)})
    assert refusal.value.code == Code.SCHEMA_MISMATCH


async def test_a_schema_may_be_declared_when_the_stream_is_in_use(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    array = np.zeros((4, 3), np.float32)
    await alice.publish(STREAM, array)
    field = {"dtype": "float32", "shape": [4, None]}
    assert (await alice.publish(STREAM, array, schema=field)).offset == 1
    assert (await alice.publish(STREAM, array, schema=field)).offset == 2
    assert (await bob.publish(STREAM, array, schema=field)).offset == 3
    for client in pair:
        with pytest.raises(RequestRefused, match="declared to hold") as refusal:
            await client.publish(STREAM, array, schema={"dtype": "float32", "shape": [4, 3]})
        assert refusal.value.code == Code.SCHEMA_MISMATCH
    with pytest.raises(RequestRefused, match=r"float32\[4, \*\]"):
        await bob.publish(STREAM, np.zeros(3))
    assert (await bob.publish(STREAM, array)).offset == 4


async def test_a_publisher_that_knows_the_state_by_its_schema_only(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    schema = {"dtype": "float32", "shape": [4, None]}
    await alice.publish(STREAM, np.zeros((4, 3), np.float32), schema=schema)
    column = np.arange(4, dtype=np.float32)
    with pytest.raises(InvalidArgument, match="needs the shape of the state"):
        await bob.publish(STREAM, column, region=np.s_[:, 1])
    assert (await bob.publish(STREAM, column, region=np.s_[:, 1], schema=schema)).offset == 1
    # From now on it knows what STREAM told.
    assert (await bob.publish(STREAM, column, region=np.s_[:, 2])).offset == 2
    with pytest.raises(InvalidArgument, match="dimension 1: an open end needs the shape"):
        await bob.publish(STREAM, column[:3], region=np.s_[1, :])


@pytest.mark.parametrize(
    ("value", "key", "problem"),
    [
        (np.zeros(24, np.float32), np.s_[16:17, 0:24], r"\[16:17, 0:24\] of a state of shape \(16, 24\)"),
        (np.zeros(24), np.s_[0:1, 0:24], "the patch is float64, the state float32"),
        (np.zeros(24, np.float32), np.s_[0:24], "1 dimensions, the state has 2"),
    ],
)
async def test_what_the_state_does_not_have_is_refused_by_the_gateway(
    pair: tuple[Client, Client], value: Array, key: Any, problem: str
) -> None:
    alice, bob = pair
    await alice.publish(STREAM, np.zeros(SMALL, np.float32))
    with pytest.raises(RequestRefused, match=problem) as refusal:
        await bob.publish(STREAM, value, region=key)
    assert refusal.value.code == Code.INVALID_REGION


async def test_a_tensor_is_named_with_a_region_only(pair: tuple[Client, Client]) -> None:
    with pytest.raises(InvalidArgument, match="name the region as well"):
        await pair[0].publish(STREAM, np.zeros(3), tensor="w")


async def test_messages_that_are_kept_do_not_change(pair: tuple[Client, Client]) -> None:
    alice, bob = pair
    state = np.zeros(SMALL, np.int32)
    async with bob.subscribe(STREAM, conflate=False) as messages, bob.subscribe("wf/**", conflate=False) as others:
        await alice.publish(STREAM, state)
        for step in range(10):
            await alice.publish(STREAM, np.full(24, step + 1, np.int32), region=np.s_[step, :])
        kept = await received(messages, 10)
        also = await received(others, 10)
    for message in kept:
        assert message.tensor[:, 0].tolist() == [row + 1 if row < message.offset else 0 for row in range(16)]
    assert kept[-1].tensor is also[-1].tensor


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
async def test_a_durable_state_is_whole_after_a_restart(tmp_path: Path, shape: tuple[int, int]) -> None:
    rules = StreamRules([(compile_pattern("wf/*"), StreamConfig(durability=Durability.FSYNC))])
    core = CoreSettings(rules=rules)
    settings = Settings(admin_port=None, drain_deadline_s=2.0, store=f"sqlite:{tmp_path / 'streams.db'}", core=core)
    state = np.zeros(shape, np.float32)
    async with running_gateway(settings) as first, connect(first.url) as client:
        await client.publish(STREAM, state)
        # All at once: each is checked against the one before it, which may not be stored yet.
        rows = [np.full(shape[1], row, np.float32) for row in range(1, 9)]
        results = await asyncio.gather(
            *[client.publish(STREAM, row, region=np.s_[at, :]) for at, row in enumerate(rows, start=1)]
        )
        assert [result.offset for result in results] == list(range(1, 9))
        state[1:9] = np.stack(rows)
        async with client.subscribe(STREAM, conflate=False) as messages:
            np.testing.assert_array_equal((await anext(messages)).tensor, state)
    async with (
        running_gateway(settings) as second,
        connect(second.url) as client,
        client.subscribe(STREAM, conflate=False) as messages,
    ):
        restored = await anext(messages)
        assert restored.offset == 8
        np.testing.assert_array_equal(restored.tensor, state)
        result = await client.publish(STREAM, np.full(shape[1], 5, np.float32), region=np.s_[0:1, 0 : shape[1]])
        assert result.offset == 9
        state[0] = 5
        np.testing.assert_array_equal((await anext(messages)).tensor, state)


@pytest.mark.parametrize("shape", [(256, 128), (1000, 500)], ids=["in one frame", "in chunks"])
async def test_whole_versions_deltas_and_patches_side_by_side(
    pair: tuple[Client, Client], shape: tuple[int, int]
) -> None:
    """Versions that change little go out as deltas to those before them; what is between may be patches."""
    alice, bob = pair
    rng = np.random.default_rng(11)
    states = [rng.integers(0, 1000, shape, np.int32)]
    errors: list[Exception] = []
    async with bob.subscribe(STREAM, conflate=False, on_error=errors.append) as messages:
        await alice.publish(STREAM, states[0])
        for step in range(1, 60):
            state = states[-1].copy()
            row = int(rng.integers(shape[0] - 4))
            state[row : row + 4] += step
            states.append(state)
            if step % 3:
                await alice.publish(STREAM, state)
            else:
                await alice.publish(STREAM, state[row : row + 4], region=np.s_[row : row + 4, :])
        got = await received(messages, len(states) - 1)
    assert errors == []
    for message in got:
        np.testing.assert_array_equal(message.tensor, states[message.offset])
