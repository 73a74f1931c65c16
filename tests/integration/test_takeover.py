"""Two connections with one ``client_id``: the newer program gets it, once, and who comes back gets its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import numpy as np
import orjson
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Subprotocol

from gateway.app import Gateway
from gateway.client import Client, Notice, connect, sync
from gateway.client.options import Backoff
from gateway.config.settings import Settings
from gateway.connections.sessions.session import Session
from gateway.errors import Code, ConnectionClosed
from gateway.ids import ClientId
from gateway.protocol.messages import ClientType, Hello, Kind
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing.running import running_gateway
from tests.connections.frames import message_frame
from tests.integration.peer import RawPeer, raw_websocket, until
from tests.integration.proxy import CuttingProxy, cutting_proxy

AT_ONCE = Backoff(base_s=0.01, cap_s=0.01)
CLIENTS = 200


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway without an admin port."""
    async with running_gateway(Settings(admin_port=None)) as running:
        yield running


@pytest_asyncio.fixture
async def proxy(gateway: Gateway) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(gateway.url) as running:
        yield running


def sessions_of(gateway: Gateway, client_id: str = "worker") -> list[Session]:
    return [session for session in gateway.core.pool if session.peer.client_id == client_id]


async def superseded(action: Callable[[], Awaitable[object]]) -> ConnectionClosed:
    """The error of a client that has lost its id; it is told sooner or later."""
    told: ConnectionClosed | None = None
    while told is None:
        try:
            await action()
        except ConnectionClosed as error:
            told = error
    assert told.code == Code.SUPERSEDED
    return told


async def test_two_programs_that_reconnect_by_themselves_fight_once(
    gateway: Gateway, proxy: CuttingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Exception] = []
    caplog.set_level(logging.WARNING)
    async with (
        connect(proxy.url, client_id="worker", backoff=AT_ONCE, on_error=told.append) as earlier,
        earlier.subscribe("wf/*") as messages,
        connect(proxy.url, client_id="worker", backoff=AT_ONCE) as newer,
    ):
        error = await superseded(lambda: earlier.publish("wf/loss", 1.0))
        assert "from 127.0.0.1:" in error.reason
        assert "(frys-python/" in error.reason
        assert "give each client an id of its own" in error.reason
        assert [str(each) for each in told] == [str(error)]
        with pytest.raises(ConnectionClosed):
            await anext(messages)
        for _ in range(3):
            proxy.cut()
            await newer.publish("wf/loss", 2.0)
        assert len(sessions_of(gateway)) == 1
        assert gateway.core.superseded_connections == 1
    assert [record.name for record in caplog.records] == ["gateway.connections.sessions.greeting"]


async def test_without_on_error_the_log_of_the_earlier_program_has_it(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "gateway.client")
    async with connect(gateway.url, client_id="worker") as earlier, connect(gateway.url, client_id="worker"):
        await superseded(lambda: earlier.publish("wf/loss", 1.0))
    (line,) = [record.getMessage() for record in caplog.records if record.name == "gateway.client"]
    assert "give each client an id of its own" in line


async def test_an_older_program_that_was_away_does_not_come_between(gateway: Gateway, proxy: CuttingProxy) -> None:
    async with connect(proxy.url, client_id="worker", backoff=AT_ONCE) as older:
        proxy.accepting = False
        proxy.forsake()
        async with connect(gateway.url, client_id="worker", backoff=None) as newer:
            (session,) = sessions_of(gateway)
            proxy.accepting = True
            error = await superseded(lambda: older.publish("wf/loss", 1.0))
            assert f"peer {session.peer.id} " in error.reason
            await newer.publish("wf/loss", 2.0)
            assert sessions_of(gateway) == [session]


async def test_a_client_gets_through_over_its_own_connection_that_is_half_dead(
    gateway: Gateway, proxy: CuttingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    notices: list[Notice] = []
    caplog.set_level(logging.WARNING)
    async with connect(proxy.url, client_id="worker", backoff=AT_ONCE, on_notice=notices.append) as client:
        weights = np.random.default_rng(7).standard_normal(4_000_000)
        for _ in range(3):
            (before,) = sessions_of(gateway)
            large = asyncio.create_task(client.publish("wf/weights", weights))
            await until(lambda: before.transfers or large.done())  # noqa: B023 - it is awaited here
            proxy.forsake()
            await client.publish("wf/loss", 1.0)
            await large
            (after,) = sessions_of(gateway)
            assert after.peer.generation == before.peer.generation
            assert after is not before
    assert (notices, gateway.core.superseded_connections, caplog.records) == ([], 0, [])


async def test_an_attempt_that_comes_through_late_does_not_end_its_own_client(gateway: Gateway) -> None:
    async with (
        connect(gateway.url, client_id="worker", backoff=AT_ONCE) as client,
        client.subscribe("wf/log") as messages,
        raw_websocket(gateway.url) as socket,
    ):
        (session,) = sessions_of(gateway)
        own = session.peer
        late = RawPeer(socket)
        await late.say(Hello((1,), own.client_type, own.client_id, instance=own.instance, generation=own.generation))
        with pytest.raises(ConnectionClosedError) as closed:
            await late.until(lambda reader: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == Code.RECONNECTED
        await client.publish("wf/log", 1.0, kind="event")
        assert (await anext(messages)).offset == 0
        assert gateway.core.superseded_connections == 0


async def test_what_is_not_acknowledged_goes_to_the_program_that_takes_over(gateway: Gateway) -> None:
    async with (
        connect(gateway.url, client_id="planner") as planner,
        connect(gateway.url, client_id="worker") as earlier,
        earlier.subscribe("wf/tasks", auto_ack=False) as tasks,
    ):
        for number in range(5):
            await planner.publish("wf/tasks", number, kind="collaboration")
        await (await anext(tasks)).ack()
        assert int((await anext(tasks)).tensor) == 1
        await until(lambda: _pending(gateway) == 4)
        async with connect(gateway.url, client_id="worker") as newer, newer.subscribe("wf/tasks") as again:
            await planner.publish("wf/tasks", 5, kind="collaboration")
            assert [int((await anext(again)).tensor) for _ in range(5)] == [1, 2, 3, 4, 5]
        await superseded(lambda: anext(tasks))


async def test_a_client_that_gets_through_gets_its_tasks_once(gateway: Gateway, proxy: CuttingProxy) -> None:
    async with (
        connect(gateway.url, client_id="planner") as planner,
        connect(proxy.url, client_id="worker", backoff=AT_ONCE) as worker,
        worker.subscribe("wf/tasks", auto_ack=False) as tasks,
    ):
        taken = []
        for number in range(12):
            await planner.publish("wf/tasks", number, kind="collaboration")
            message = await anext(tasks)
            taken.append(int(message.tensor))
            if not number % 3:
                proxy.forsake()
            await message.ack()
        assert taken == list(range(12))
        await until(lambda: not _pending(gateway))


def _pending(gateway: Gateway) -> int:
    (stream,) = [stream for stream in gateway.core.streams if stream.name == "wf/tasks"]
    return gateway.core.hub.stream_stats(stream).consumers.pending


async def test_very_many_clients_that_come_back_at_once(gateway: Gateway, proxy: CuttingProxy) -> None:
    async with AsyncExitStack() as stack:
        names = [f"worker-{number}" for number in range(CLIENTS)]
        clients: list[Client] = [
            await stack.enter_async_context(connect(proxy.url, client_id=name, backoff=AT_ONCE)) for name in names
        ]
        before = {session.peer.id for session in gateway.core.pool}
        proxy.forsake()
        await asyncio.gather(*[client.publish("wf/loss", 1.0) for client in clients])
        sessions = list(gateway.core.pool)
        assert sorted(session.peer.client_id for session in sessions) == sorted(names)
        assert not before & {session.peer.id for session in sessions}
        assert gateway.core.superseded_connections == 0


async def test_old_generations_cost_the_client_nothing_that_has_the_id(gateway: Gateway) -> None:
    async with (
        connect(gateway.url, client_id="worker") as earlier,
        connect(gateway.url, client_id="worker", backoff=None) as worker,
        worker.subscribe("wf/log") as messages,
        connect(gateway.url) as publisher,
    ):
        await superseded(lambda: earlier.publish("wf/loss", 1.0))
        (session,) = sessions_of(gateway)
        for number in range(50):
            async with raw_websocket(gateway.url) as socket:
                peer = RawPeer(socket)
                hello = Hello((1,), ClientType.AGENT, ClientId("worker"), instance=number, generation=number)
                await peer.say(hello)
                with pytest.raises(ConnectionClosedError) as closed:
                    await peer.until(lambda reader: False)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == Code.SUPERSEDED
            await publisher.publish("wf/log", number, kind="event")
            assert int((await anext(messages)).tensor) == number
        assert sessions_of(gateway) == [session]


async def test_what_was_read_of_the_older_connection_is_handled_in_its_order(gateway: Gateway) -> None:
    messages = 20_000
    async with raw_websocket(gateway.url) as first, raw_websocket(gateway.url) as second:
        older, newer = RawPeer(first), RawPeer(second)
        hello = Hello((1,), ClientType.AGENT, ClientId("worker"), instance=1)
        await older.say(hello)
        await older.open(0, "wf/log", Kind.EVENT)
        await older.settle()
        frames = [b"".join(message_frame(0, number + 1, b"x")) for number in range(messages)]
        sending = asyncio.create_task(first.send(b"".join(frames)))
        await newer.say(hello)
        await newer.settle()
        with pytest.raises(ConnectionClosedError) as closed:
            await older.until(lambda reader: False)
        await asyncio.wait([sending])
        sending.exception()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == Code.RECONNECTED
        assert older.reader.codes == [Code.RECONNECTED]
        await newer.open(0, "wf/log", Kind.EVENT)
        await newer.publish(0, b"behind it", ack=True)
        reader = await newer.until(lambda reader: reader.acks)
        assert reader.acks[0].offset <= messages
        assert len(sessions_of(gateway)) == 1


async def test_a_text_client_is_told_and_closed_as_well(gateway: Gateway) -> None:
    hello = {"message_type": "hello", "client_type": "agent", "client_id": "page", "payload": {"versions": [1]}}
    async with websocket(gateway.url, subprotocols=[Subprotocol(SUBPROTOCOL_JSON)]) as earlier:
        await earlier.send(orjson.dumps(hello).decode())
        welcome = orjson.loads(await earlier.recv())["payload"]
        async with connect(gateway.url, client_id="page") as newer:
            error = orjson.loads(await earlier.recv())
            assert error["message_type"] == "error"
            assert error["payload"]["code"] == Code.SUPERSEDED
            with pytest.raises(ConnectionClosedError):
                await earlier.recv()
            assert earlier.close_code == Code.SUPERSEDED
            async with websocket(gateway.url, subprotocols=[Subprotocol(SUBPROTOCOL_JSON)]) as again:
                hello["payload"] = {"versions": [1], "generation": welcome["generation"]}
                await again.send(orjson.dumps(hello).decode())
                assert orjson.loads(await again.recv())["payload"]["code"] == Code.SUPERSEDED
            await newer.publish("wf/loss", 1.0)


async def test_the_blocking_client_is_told_as_well(gateway: Gateway) -> None:
    def play() -> ConnectionClosed:
        with (
            sync.connect(gateway.url, client_id="worker") as earlier,
            sync.connect(gateway.url, client_id="worker"),
        ):
            while True:
                try:
                    earlier.publish("wf/loss", 1.0)
                except ConnectionClosed as error:
                    return error

    assert (await asyncio.to_thread(play)).code == Code.SUPERSEDED
