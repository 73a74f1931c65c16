"""Lower views with the real SDK and a real gateway: who named one gets it, and back, and misses nothing by it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import numpy as np
import orjson
import pytest
import pytest_asyncio

from benchmarks.slow_link.paced_line import proxied_line
from gateway.app import Gateway
from gateway.client import Credits, Notice, View, connect, sync
from gateway.connections.planning.adjust import SettingChange
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.snapshots import connection_snapshot
from gateway.errors import Code, InvalidArgument
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import running_gateway
from tests.client.waiting import until
from tests.integration.peer import raw_websocket
from tests.integration.test_text import Person

FIELD = np.zeros((64, 64), np.float32)
COARSE = View(np.s_[::4, ::4], "float16")


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


def set_view(gateway: Gateway, client_id: str, *, lowered: bool) -> bool:
    """Have a client get its lower views, or the others, as plans do."""
    core = gateway.core
    session = core.pool.newest_of(client_id)
    assert session is not None
    site = Site(Knob.VIEW, client_id, session.peer.id)
    return core.planning.actuator.set(SettingChange(site, float(lowered), "the test wants it"))


async def test_the_program_is_told_and_gets_the_newest_state_whole_again(gateway: Gateway) -> None:
    notices: list[Notice] = []
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="viewer", on_notice=notices.append) as viewer,
        viewer.subscribe("wf/field", lower_view=COARSE) as fields,
    ):
        await publisher.publish("wf/field", FIELD, kind="state")
        assert (await anext(fields)).tensor.shape == (64, 64)
        assert set_view(gateway, "viewer", lowered=True)
        await publisher.publish("wf/field", FIELD + 1)
        message = await anext(fields)
        assert (message.tensor.shape, message.tensor.dtype, message.offset) == ((16, 16), np.dtype("float16"), 1)
        session = gateway.core.pool.newest_of("viewer")
        assert session is not None
        assert connection_snapshot(session).lowered == 1
        assert fields.lowered == {"wf/field"}
        assert set_view(gateway, "viewer", lowered=False)
        message = await anext(fields)
        assert (message.tensor.shape, message.tensor.dtype, message.offset) == ((64, 64), np.dtype("float32"), 1)
        assert fields.lowered == frozenset()
        assert [notice.code for notice in notices] == [Code.VIEW_LOWERED, Code.VIEW_RESTORED]
        assert str(notices[0]) == "wf/field comes by the lower view [::4, ::4] float16: the gateway adapts to your link"
        assert await viewer.account(fields) == fields.account


async def test_the_client_keeps_nothing_of_views_whose_streams_have_ended(gateway: Gateway) -> None:
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="viewer") as viewer,
        viewer.subscribe("wf/*", lower_view=COARSE) as fields,
    ):
        for step in range(3):
            await publisher.publish(f"wf/{step}", FIELD, kind="state")
            await anext(fields)
            set_view(gateway, "viewer", lowered=not step % 2)
            assert set(fields.core.view_ids) == {f"wf/{step}"}
            await publisher.delete(f"wf/{step}")
            await until(lambda: not fields.core.view_ids)


@pytest.mark.parametrize("side", [8, 64, 700])
async def test_events_come_once_and_in_order_however_often_their_view_changes(gateway: Gateway, side: int) -> None:
    field, events, chance = np.zeros((side, side), np.float32), 60, random.Random(side)
    shapes, taken = set(), 0
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="viewer") as viewer,
        viewer.subscribe("wf/events", view=View(np.s_[:, :]), lower_view=COARSE) as messages,
    ):

        async def publish() -> None:
            for step in range(events):
                await publisher.publish("wf/events", field + step, kind="event", codec="lz4")
                if chance.random() < 0.5:
                    await until(lambda: taken == step + 1)  # noqa: B023 - awaited here
                if chance.random() < 0.3:
                    set_view(gateway, "viewer", lowered=chance.random() < 0.5)

        publishing = asyncio.create_task(publish())
        for step in range(events):
            message = await anext(messages)
            assert (message.offset, message.tensor[0, 0]) == (step, step)
            shapes.add(message.tensor.shape[0])
            taken += 1
        await publishing
        assert shapes == {side, -(-side // 4)}
        assert messages.stats.duplicates == messages.stats.dropped == 0
        assert await viewer.account(messages) == messages.account


async def test_states_of_a_pattern_change_to_and_fro_and_end_with_the_newest(gateway: Gateway) -> None:
    names, chance = [f"wf/state-{number}" for number in range(20)], random.Random(4)
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="viewer") as viewer,
        viewer.subscribe("wf/*", lower_view=COARSE) as messages,
    ):
        newest: dict[str, tuple[int, tuple[int, ...]]] = {}

        async def take() -> None:
            async for message in messages:
                before = newest.get(message.stream, (0, ()))
                assert message.offset >= before[0]
                newest[message.stream] = message.offset, message.tensor.shape

        taking = asyncio.create_task(take())
        for step in range(40):
            for name in names:
                publisher.publish_nowait(name, FIELD + step, kind="state")
            set_view(gateway, "viewer", lowered=chance.random() < 0.5)
            await publisher.drain()
        set_view(gateway, "viewer", lowered=False)
        await until(lambda: newest == dict.fromkeys(names, (39, (64, 64))))
        assert await viewer.account(messages) == messages.account
        taking.cancel()
    assert len(viewer._core.subscriptions._sinks) <= len(names)


async def test_a_client_that_comes_back_begins_with_the_view_that_it_asked_for(gateway: Gateway) -> None:
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="viewer") as viewer,
        viewer.subscribe("wf/field", view=View(np.s_[::2]), lower_view=COARSE) as fields,
    ):
        await publisher.publish("wf/field", FIELD, kind="state")
        assert (await anext(fields)).tensor.shape == (32, 64)
        assert set_view(gateway, "viewer", lowered=True)
        await publisher.publish("wf/field", FIELD + 1)
        assert (await anext(fields)).tensor.shape == (16, 16)
        session = gateway.core.pool.newest_of("viewer")
        assert session is not None
        session.connection.close(Code.SLOW_CONSUMER, "the test cuts it")
        message = await anext(fields)
        assert (message.tensor.shape, message.offset) == ((32, 64), 1)
        assert await viewer.account(fields) == fields.account


async def test_the_blocking_client_does_the_same(gateway: Gateway) -> None:
    loop = asyncio.get_running_loop()

    def lower(lowered: bool) -> None:
        assert asyncio.run_coroutine_threadsafe(_set(lowered), loop).result()

    async def _set(lowered: bool) -> bool:
        return set_view(gateway, "viewer", lowered=lowered)

    def view() -> None:
        with (
            sync.connect(gateway.url, client_id="viewer") as viewer,
            viewer.subscribe("wf/field", lower_view=COARSE) as fields,
        ):
            viewer.publish("wf/field", FIELD, kind="state")
            assert next(fields).tensor.shape == (64, 64)
            lower(True)
            viewer.publish("wf/field", FIELD + 1)
            assert next(fields).tensor.shape == (16, 16)
            assert fields.lowered == {"wf/field"}
            with pytest.raises(InvalidArgument, match="lower_view"):
                viewer.subscribe("wf/field", lower_view="coarse")  # type: ignore[arg-type]  # what is tested

    await asyncio.to_thread(view)


async def test_a_client_of_plain_text_names_a_lower_view_too(gateway: Gateway) -> None:
    async with connect(gateway.url) as publisher, raw_websocket(gateway.url, SUBPROTOCOL_JSON) as websocket:
        person = Person(websocket)
        hello = {"versions": [1], "client_id": "page"}
        await person.type(orjson.dumps({"message_type": "hello", "client_type": "agent", "payload": hello}).decode())
        await person.read("welcome")
        wanted = {"pattern": "wf/field", "lower": {"slice": [0, [None, None, 32]]}}
        await person.type(orjson.dumps({"id": 1, "message_type": "subscribe", "payload": wanted}).decode())
        await person.read("subscribed")
        await publisher.publish("wf/field", FIELD, kind="state")
        stream = (await person.read("stream"))["payload"]
        assert stream["lowered"] is False
        message = await person.read("message")
        assert (message["view"], message["payload"]["shape"]) == (stream["id"], [64, 64])
        assert set_view(gateway, "page", lowered=True)
        notice = (await person.read("notice"))["payload"]
        assert (notice["code"], notice["subscription"]) == (Code.VIEW_LOWERED, 1)
        lower = (await person.read("stream"))["payload"]
        assert (lower["lowered"], lower["stream"]) == (True, "wf/field")
        await publisher.publish("wf/field", FIELD + 1)
        message = await person.read("message")
        assert (message["view"], message["payload"]["shape"], message["offset"]) == (lower["id"], [2], 1)


@pytest.mark.parametrize("kind", ["state", "event"])
async def test_over_a_slow_line_a_client_that_is_switched_gets_all_that_it_is_owed(gateway: Gateway, kind: str) -> None:
    """What waits for the line waits in its outbox, and large messages are cut off under way."""
    field, count, chance = np.random.default_rng(3).normal(size=(128, 128)).astype(np.float32), 120, random.Random(7)
    port = int(gateway.url.rpartition(":")[2])
    with proxied_line(port, 8_000_000) as line:
        async with (
            connect(gateway.url) as publisher,
            connect(f"ws://{line.host}:{line.port}", client_id="viewer") as viewer,
            viewer.subscribe("wf/field", lower_view=COARSE) as fields,
        ):
            offsets: list[int] = []
            sides: set[int] = set()

            async def take() -> None:
                async for message in fields:
                    expected = (field if message.tensor.shape == field.shape else field[::4, ::4]) + message.offset
                    np.testing.assert_allclose(message.tensor, expected, atol=0.1)
                    offsets.append(message.offset)
                    sides.add(message.tensor.shape[0])

            taking = asyncio.create_task(take())
            for step in range(count):
                await publisher.publish("wf/field", field + step, kind=kind)
                if not step % 5:
                    assert set_view(gateway, "viewer", lowered=chance.random() < 0.5)
                    await asyncio.sleep(0.05)
            assert set_view(gateway, "viewer", lowered=False)
            await until(lambda: bool(offsets) and offsets[-1] == count - 1)
            assert await viewer.account(fields) == fields.account
            taking.cancel()
    assert offsets == (list(range(count)) if kind == "event" else sorted(offsets))
    assert 128 in sides
    if kind == "state":
        assert len(offsets) < count


async def test_credit_goes_on_from_one_view_to_the_other(gateway: Gateway) -> None:
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="viewer", credit_all_kinds=True) as viewer,
        viewer.subscribe("wf/events", lower_view=COARSE, credits=Credits(3, 1 << 20)) as messages,
    ):
        for step in range(40):
            await publisher.publish("wf/events", FIELD + step, kind="event")
            set_view(gateway, "viewer", lowered=bool(step % 3))
            assert (await anext(messages)).offset == step
        assert await viewer.account(messages) == messages.account
        session = gateway.core.pool.newest_of("viewer")
        assert session is not None
        assert session.out_of_credit == 0


async def test_events_that_the_lower_view_does_not_fit_come_in_their_place(gateway: Gateway) -> None:
    chance, errors = random.Random(2), list[Exception]()
    shapes = [chance.choice([(64, 64), (16,), (8, 8, 8), (), (0, 4), (400, 400)]) for _ in range(80)]
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="viewer") as viewer,
        viewer.subscribe("wf/odd", lower_view=View(np.s_[::4, ::4], "float16"), on_error=errors.append) as messages,
    ):

        async def publish() -> None:
            for shape in shapes:
                await publisher.publish("wf/odd", np.zeros(shape, np.float32), kind="event")
                if chance.random() < 0.3:
                    set_view(gateway, "viewer", lowered=chance.random() < 0.7)

        publishing = asyncio.create_task(publish())
        for offset, shape in enumerate(shapes):
            message = await anext(messages)
            assert message.offset == offset
            assert len(shape) == 2 or message.tensor.shape == shape
        await publishing
        assert not errors
        assert await viewer.account(messages) == messages.account
