"""Views with the real SDK and a real gateway: who shares one, what comes, and what becomes of it after a reconnect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import ml_dtypes
import numpy as np
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Backoff, Client, Gap, Subscription, View, connect, sync
from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.tensors import Array
from gateway.testing import running_gateway
from tests.client.waiting import until
from tests.integration.proxy import CuttingProxy, Way, cutting_proxy

FIELD = np.random.default_rng(5).normal(size=(64, 64)).astype(np.float32)
COARSE = View(slice=np.s_[::4, ::4], dtype="float16")
QUICK = Backoff(base_s=0.01, cap_s=0.05)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


@pytest_asyncio.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    async with connect(gateway.url) as connected:
        yield connected


def computed(gateway: Gateway) -> dict[View, int]:
    return {derivation.source.view: derivation.computed_entries for derivation in gateway.core.hub.views}


async def test_two_dashboards_share_one_computation_and_do_not_disturb_others(gateway: Gateway) -> None:
    steps = 20
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url) as one,
        connect(gateway.url) as other,
        one.subscribe("wf/field", view=COARSE) as first,
        other.subscribe("wf/*", view=View(np.s_[0::4, ::4, ...], ml_dtypes.bfloat16)) as third,
        other.subscribe("wf/*", view=View(np.s_[0::4, ::4, ...], np.float16)) as second,
        other.subscribe("wf/field") as whole,
    ):
        for step in range(steps):
            await publisher.publish("wf/field", FIELD + step, kind="event", headers={"step": step})
        for step in range(steps):
            expected = (FIELD + step)[::4, ::4]
            messages = [await anext(subscription) for subscription in (first, second, third, whole)]
            assert {(message.offset, message.headers["step"]) for message in messages} == {(step, step)}
            np.testing.assert_array_equal(messages[0].tensor, expected.astype(np.float16))
            np.testing.assert_array_equal(messages[1].tensor, messages[0].tensor)
            np.testing.assert_array_equal(messages[2].tensor, expected.astype(ml_dtypes.bfloat16))
            np.testing.assert_array_equal(messages[3].tensor, FIELD + step)
        counts = computed(gateway)
        assert counts == {COARSE: steps, View(np.s_[::4, ::4], "bfloat16"): steps}
        assert second.stats.received == third.stats.received == whole.stats.received == steps
    await until(lambda: not len(gateway.core.hub.views))


async def test_bytes_that_stand_for_numbers_say_how(client: Client) -> None:
    await client.publish("wf/field", FIELD, kind="state")
    async with client.subscribe("wf/field", view=View(dtype="uint8")) as messages:
        message = await anext(messages)
    assert message.tensor.dtype == np.uint8
    assert message.quantization is not None
    assert message.quantization.dtype == np.float32
    restored = message.dequantized()
    assert restored.dtype == np.float32
    assert np.abs(restored - FIELD).max() <= message.quantization.scale / 2 + 1e-6
    assert message.nbytes == FIELD.nbytes // 4


async def test_records_are_viewed_one_by_one(client: Client) -> None:
    async with client.subscribe("wf/loss", view=View(np.s_[:2], "int16")) as messages:
        for step in range(1000):
            client.publish_nowait("wf/loss", np.array([step, 2.0, 3.0]), kind="event")
        received = 0
        async for batch in messages.batches():
            assert batch.array.shape == (batch.count, 2)
            numbers = batch.dequantized()
            assert numbers.dtype == np.float64
            np.testing.assert_allclose(numbers[:, 0], np.arange(received, received + batch.count), atol=0.01)
            for record, expected in zip(batch.messages(), numbers, strict=True):
                np.testing.assert_array_equal(record.dequantized(), expected)
            received += batch.count
            if received == 1000:
                break


async def test_a_large_tensor_is_viewed_in_chunks_too(client: Client) -> None:
    large = np.arange(4_000_000, dtype=np.float32).reshape(2000, 2000)
    async with client.subscribe("wf/large", view=View(np.s_[:, ::2], "float64")) as messages:
        await client.publish("wf/large", large, kind="state")
        message = await anext(messages)
        np.testing.assert_array_equal(message.tensor, large[:, ::2].astype(np.float64))


async def test_a_patch_is_viewed_as_part_of_the_state_that_it_makes(gateway: Gateway, client: Client) -> None:
    field = FIELD.copy()
    await client.publish("wf/field", field, kind="state")
    async with (
        connect(gateway.url) as other,
        other.subscribe("wf/field", view=View(np.s_[::2, 3])) as column,
        other.subscribe("wf/field") as whole,
    ):
        np.testing.assert_array_equal((await anext(column)).tensor, field[::2, 3])
        await anext(whole)
        field[0:8] = 7
        await client.publish("wf/field", field[0:8], region=np.s_[0:8, :])
        np.testing.assert_array_equal((await anext(column)).tensor, field[::2, 3])
        np.testing.assert_array_equal((await anext(whole)).tensor, field)


async def publish_rows(client: Client, viewed: Subscription, state: Array, rows: range) -> None:
    """Change the rows of a state one by one, and check that the view of each version comes."""
    for row in rows:
        state[row] = row
        result = await client.publish("wf/state", state)
        message = await anext(viewed)
        while message.offset < result.offset:  # this version was left out: its delta had no base
            message = await anext(viewed)
        np.testing.assert_array_equal(message.tensor, state[::4, ::4])


async def publish_until_delta(client: Client, viewed: Subscription, state: Array, proxy: CuttingProxy) -> int:
    """Publish until the view of a version came as a delta, of which the gateway takes samples; return the count."""
    for count in range(1, 1000):
        before = proxy.passed_bytes[Way.TO_CLIENT]
        await publish_rows(client, viewed, state, range(count % len(state), count % len(state) + 1))
        if proxy.passed_bytes[Way.TO_CLIENT] - before < 0.1 * state[::4, ::4].nbytes:
            return count
    raise AssertionError("no version of the view came as a delta")


async def test_a_view_of_a_state_that_changes_little_comes_as_deltas(gateway: Gateway, client: Client) -> None:
    state = np.random.default_rng(0).standard_normal((400, 300)).astype(np.float32)
    errors: list[Exception] = []
    async with (
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, on_error=errors.append) as viewer,
        viewer.subscribe("wf/state", view=View(np.s_[::4, ::4])) as viewed,
    ):
        count = await publish_until_delta(client, viewed, state, proxy)
        before = proxy.passed_bytes[Way.TO_CLIENT]
        await publish_rows(client, viewed, state, range(30))
        # One of the versions may have come as a keyframe.
        assert proxy.passed_bytes[Way.TO_CLIENT] - before < 2.5 * state[::4, ::4].nbytes
        assert errors == []
        assert viewed.stats.received == count + 30
        assert viewed.stats.failed == viewed.stats.conflated == 0


async def test_a_delta_of_a_view_without_its_base_brings_a_keyframe_of_the_view(
    gateway: Gateway, client: Client
) -> None:
    state = np.random.default_rng(0).standard_normal((400, 300)).astype(np.float32)
    errors: list[Exception] = []
    async with (
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, on_error=errors.append) as viewer,
        viewer.subscribe("wf/state", view=View(np.s_[::4, ::4])) as viewed,
    ):
        count = await publish_until_delta(client, viewed, state, proxy)
        (sink,) = viewer._core.subscriptions._sinks.values()
        assert sink.bases is not None
        sink.bases.newest = None
        await publish_rows(client, viewed, state, range(4))  # the keyframe has the offset of the delta that failed
        assert [type(error).__name__ for error in errors] == ["DeltaBaseMissing"]
        assert viewed.stats.failed == 1
        assert viewed.stats.received == count + 4


async def test_a_view_that_does_not_fit_is_refused_with_the_shape_it_met(client: Client) -> None:
    await client.publish("wf/field", FIELD, kind="state")
    with pytest.raises(RequestRefused, match=r"float32 and shape \[64, 64\]") as refused:
        await client.subscribe("wf/field", view=View(np.s_[0, 0, 0])).start()
    assert refused.value.code == Code.INVALID_VIEW
    with pytest.raises(InvalidArgument, match="step of 0"):
        client.subscribe("wf/field", view=View(slice(0, 4, 0)))


async def test_a_message_that_does_not_fit_is_told_to_its_subscription(client: Client) -> None:
    errors: list[Exception] = []
    gaps: list[Gap] = []
    async with (
        client.subscribe("wf/log", view=View((0, 0)), on_error=errors.append, on_gap=gaps.append) as corner,
        client.subscribe("wf/log", on_error=lambda error: pytest.fail(str(error))) as whole,
    ):
        for value in (FIELD, FIELD[0], FIELD[0], FIELD):
            await client.publish("wf/log", value, kind="event")
        assert [(await anext(corner)).offset for _ in range(2)] == [0, 3]
        assert [(await anext(whole)).offset for _ in range(4)] == [0, 1, 2, 3]
        (error,) = errors
        assert isinstance(error, RequestRefused)
        assert error.code == Code.INVALID_VIEW
        assert [(gap.first, gap.last, gap.code) for gap in gaps] == [
            (1, 1, Code.INVALID_VIEW),
            (2, 2, Code.INVALID_VIEW),
        ]
        assert (corner.stats.received, corner.stats.dropped, corner.stats.failed) == (2, 2, 0)


async def test_a_rate_brings_the_newest_in_the_end_and_counts_the_rest(gateway: Gateway, client: Client) -> None:
    # Without conflation in the SDK, which a busy machine would add to that of the gateway.
    async with client.subscribe("wf/state", view=View(max_rate_hz=20), conflate=False) as messages:
        for step in range(200):
            await client.publish("wf/state", np.int64(step), kind="state")
        last = -1
        while last < 199:
            last = int((await anext(messages)).tensor)
        (derivation,) = gateway.core.hub.views
        stats = messages.stats
        assert stats.received + stats.conflated == 200
        assert stats.conflated == derivation.conflated_messages
        assert stats.received == derivation.computed_entries


async def test_after_a_reconnect_the_view_goes_on(gateway: Gateway, client: Client) -> None:
    async with (
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, backoff=QUICK) as viewer,
        viewer.subscribe("wf/log", view=View(-1)) as last,
        viewer.subscribe("wf/log") as whole,
    ):

        async def taken(subscription: Subscription, count: int) -> list[tuple[int, object]]:
            messages = [await anext(subscription) for _ in range(count)]
            return [(message.offset, message.tensor.tolist()) for message in messages]

        for step in range(10):
            await client.publish("wf/log", np.array([7, step]), kind="event")
            if step == 4:
                assert await taken(last, 5) == [(step, step) for step in range(5)]
                proxy.cut()
        assert await taken(last, 5) == [(step, step) for step in range(5, 10)]
        assert await taken(whole, 10) == [(step, [7, step]) for step in range(10)]
        assert last.stats.dropped == 0


async def test_the_blocking_client_offers_the_same(gateway: Gateway, client: Client) -> None:
    await client.publish("wf/field", FIELD, kind="state")

    def look() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        with sync.connect(gateway.url) as blocking, blocking.subscribe("wf/field", view=View(0, "uint8")) as messages:
            return next(messages).dequantized()

    row = await asyncio.to_thread(look)
    assert np.abs(row - FIELD[0]).max() < 0.02
