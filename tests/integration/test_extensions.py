"""Extension clients on real sockets: they observe and answer, all else is refused, and nothing else suffers from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import orjson
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect as websocket
from websockets.typing import Subprotocol

from gateway.app import Gateway
from gateway.client import Client, connect, sync
from gateway.config.settings import Settings
from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.data import write_data
from gateway.protocol.messages import ClientType, Credits, Delete, Hello, Open, Subscribe, Subscribed
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import SUBPROTOCOL_JSON, Opcode
from gateway.testing.running import running_gateway
from tests.connections.asking import data_frame
from tests.connections.frames import START_NS
from tests.integration.peer import CHUNK_BYTES, RawPeer, raw_websocket

LARGE = np.arange(2_000_000)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway without an admin port."""
    async with running_gateway(Settings(admin_port=None)) as running:
        yield running


def extension(gateway: Gateway) -> Any:
    return connect(gateway.url, client_type="extension", client_id="tool")


async def refused(action: Callable[[], Awaitable[object]]) -> str:
    with pytest.raises(RequestRefused) as caught:
        await action()
    assert caught.value.code == Code.FORBIDDEN
    return caught.value.message


def facts(gateway: Gateway) -> list[tuple[object, ...]]:
    return [(stream.name, stream.epoch, stream.next_offset) for stream in gateway.core.streams]


async def test_the_sdk_is_told_of_each_act_and_goes_on(gateway: Gateway) -> None:
    async with connect(gateway.url, client_id="planner") as planner, extension(gateway) as tool:
        await planner.publish("wf/loss", 1.0, kind="event")
        before = facts(gateway)
        async with tool.subscribe("wf/**") as messages, planner.inbox():
            acts: list[tuple[Callable[[], Awaitable[object]], str]] = [
                (lambda: tool.publish("wf/loss", 2.0), "publish to wf/loss"),
                (lambda: tool.publish("wf/new", LARGE), "publish to wf/new"),
                (lambda: tool.request("agent:planner", 1.0), "ask agent:planner"),
                (lambda: tool.request("group:workers", LARGE), "ask group:workers"),
                (lambda: tool.delete("wf/*"), "delete wf/*"),
                (lambda: _entered(tool.subscribe("wf/tasks", observe=False)), "acknowledge wf/tasks"),
                (lambda: _entered(tool.subscribe("wf/tasks", auto_ack=False)), "acknowledge wf/tasks"),
                (lambda: _entered(tool.subscribe("wf/tasks", credits=Credits(1, 1))), "acknowledge wf/tasks"),
            ]
            for act, words in acts:
                assert f"extension tool may not {words}" in await refused(act)
            assert facts(gateway) == before
            await planner.publish("wf/loss", 3.0)
            message = await anext(messages)
            assert (message.offset, float(message.tensor)) == (1, 3.0)


async def _entered(subscription: Any) -> None:
    async with subscription:
        pass


async def test_an_extension_sees_tasks_and_nobody_waits_for_it(gateway: Gateway) -> None:
    async with connect(gateway.url, client_id="planner") as planner, extension(gateway) as tool:
        async with tool.subscribe("wf/*") as seen:
            for number in range(3):
                await planner.publish("wf/tasks", number, kind="collaboration")
            messages = [await anext(seen) for _ in range(3)]
            assert [int(message.tensor) for message in messages] == [0, 1, 2]
            assert all(message.observed for message in messages)
        fanouts = [fanout for fanout in gateway.core.hub.fanouts if isinstance(fanout, ConsumerFanout)]
        assert [list(fanout.consumers) for fanout in fanouts] == [[]]


@asynccontextmanager
async def answering(tool: Client, group: str | None) -> AsyncIterator[None]:
    async def answer() -> None:
        async with tool.inbox(group=group) as inbox:
            ready.set()
            async for request in inbox:
                await request.reply(2 * request.tensor)

    ready = asyncio.Event()
    task = asyncio.create_task(answer())
    await ready.wait()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("group", [None, "tools"])
@pytest.mark.parametrize("value", [np.arange(3), LARGE], ids=["small", "large"])
async def test_an_extension_answers(gateway: Gateway, group: str | None, value: np.ndarray[Any, Any]) -> None:
    address = "agent:tool" if group is None else f"group:{group}"
    async with connect(gateway.url) as asker, extension(gateway) as tool, answering(tool, group):
        reply = await asker.request(address, value)
        np.testing.assert_array_equal(reply.tensor, 2 * value)


async def test_the_blocking_client_is_told_as_well(gateway: Gateway) -> None:
    def play() -> RequestRefused:
        with (
            sync.connect(gateway.url, client_type="extension") as tool,
            pytest.raises(RequestRefused) as caught,
        ):
            tool.publish("wf/loss", 1.0)
        return caught.value

    assert (await asyncio.to_thread(play)).code == Code.FORBIDDEN


async def test_each_frame_that_is_refused_names_what_it_answers(gateway: Gateway) -> None:
    async with connect(gateway.url) as publisher, raw_websocket(gateway.url) as socket:
        await publisher.publish("wf/loss", 1.0, kind="event")
        peer = RawPeer(socket)
        await peer.say(Hello((1,), ClientType.EXTENSION, ClientId("tool")))
        await peer.open(0, "wf/loss")
        await peer.open(1, "agent:planner")
        await peer.publish(0, b"small", ack=True)
        records = write_meta([TensorSpec("", np.dtype(np.uint8), (1,))], None)
        await peer.send(
            write_data(
                Opcode.BATCH, stream=0, offset=2, timestamp_ns=START_NS, meta=records, count=3, payload=(b"abc",)
            )
        )
        peer.sequences[0] += 3
        await peer.publish_large(0, bytes(3 * CHUNK_BYTES))
        await peer.send(data_frame(Opcode.REQUEST, 1, 7, b"question"))
        meta = write_meta([TensorSpec("", np.dtype(np.uint8), (CHUNK_BYTES,))], None)
        plan = ChunkPlan(2, CHUNK_BYTES, CHUNK_BYTES)
        await peer.send(write_data(Opcode.REQUEST, stream=1, offset=8, timestamp_ns=START_NS, meta=meta, plan=plan))
        await peer.finish_large(2, bytes(CHUNK_BYTES))
        await peer.say(Subscribe(3, 3, "wf/*", observe=False), Delete(4, "wf/*"), Subscribe(5, 5, "wf/*"))
        await peer.say(Open(0, "wf/new"), Open(2, "wf/loss.dead"))
        reader = await peer.settle()
        named = [(error.request, error.alias, error.sequence, error.correlation) for error in reader.errors]
        assert reader.codes == [Code.FORBIDDEN] * len(named)
        assert named == [
            (None, 0, None, None),
            (None, 1, None, None),
            (None, 0, 1, None),
            (None, 0, 4, None),
            (None, 0, 5, None),
            (None, None, None, 7),
            (None, None, None, 8),
            (3, None, None, None),
            (4, None, None, None),
            (None, 0, None, None),
            (None, 2, None, None),
        ]
        assert Subscribed(5, 5) in reader.log
        assert facts(gateway) == [("wf/loss", facts(gateway)[0][1], 1)]


async def test_texts_that_are_refused_name_what_they_answer(gateway: Gateway) -> None:
    hello = {"message_type": "hello", "client_type": "extension", "client_id": "page", "payload": {"versions": [1]}}
    tensor = {"dtype": "uint8", "shape": [1], "data": "AA=="}
    texts = [
        {"id": 1, "message_type": "message", "stream": "wf/loss", "payload": tensor},
        {"id": 2, "message_type": "request", "stream": "agent:planner", "payload": tensor},
        {"id": 3, "message_type": "open", "payload": {"alias": 9, "stream": "wf/new"}},
        {"id": 4, "message_type": "subscribe", "payload": {"pattern": "wf/*", "observe": False}},
        {"id": 5, "message_type": "delete", "payload": {"pattern": "wf/*"}},
        {"id": 6, "message_type": "subscribe", "payload": {"pattern": "agent:page"}},
    ]
    async with (
        connect(gateway.url) as asker,
        websocket(gateway.url, subprotocols=[Subprotocol(SUBPROTOCOL_JSON)]) as page,
    ):
        await asker.publish("wf/loss", 1.0, kind="event")
        before = facts(gateway)
        for each in (hello, *texts):
            await page.send(orjson.dumps(each).decode())
        answers = [orjson.loads(await page.recv())["payload"] for _ in range(1 + len(texts))][1:]
        assert [answer.get("error") for answer in answers] == ["FORBIDDEN"] * 5 + [None]
        assert [(answer.get("request"), answer.get("alias")) for answer in answers[:5]] == [
            (1, None),
            (2, None),
            (None, 9),
            (4, None),
            (5, None),
        ]
        asking = asyncio.create_task(asker.request("agent:page", 1.0))
        question = orjson.loads(await page.recv())
        answer = {"message_type": "reply", "payload": tensor}
        await page.send(orjson.dumps(answer | {key: question[key] for key in ("peer", "correlation")}).decode())
        assert (await asking).tensor.tolist() == [0]
        assert facts(gateway) == before
