"""Admission over real sockets: storms come in bit by bit, floods keep no operator out, refusals say when to return."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from websockets.exceptions import ConnectionClosed as WebSocketClosed

from gateway.app import Gateway
from gateway.client import connect
from gateway.client.options import Backoff
from gateway.config import Settings
from gateway.connections.admission.admission import Reason
from gateway.connections.admission.settings import AdmissionSettings, ClientBudget
from gateway.connections.core_settings import CoreSettings
from gateway.errors import Code, ConnectionClosed, ConnectionFailed
from gateway.protocol.messages import ClientType, Hello
from gateway.protocol.session_body import write_session
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import running_gateway
from tests.integration.peer import RawPeer, raw_websocket

REQUEST = (
    b"GET /?client_type=%s HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Protocol: frys.v1\r\n\r\n"
)


def running(max_connections: int = 1000, **admission: Any) -> contextlib.AbstractAsyncContextManager[Gateway]:
    """A gateway with these bounds."""
    core = CoreSettings(max_connections=max_connections, admission=AdmissionSettings(**admission))
    return running_gateway(replace(Settings(admin_port=None, drain_deadline_s=1.0), core=core))


@asynccontextmanager
async def handshake(
    gateway: Gateway, client_type: str, source: str = "127.0.0.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket that has asked for a WebSocket, from an address of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, local_addr=(source, 0))
    try:
        writer.write(REQUEST % client_type.encode())
        yield reader, writer
    finally:
        writer.close()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """All that comes before the socket ends, or is dropped."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of the answer; 0: the socket was dropped without one."""
    try:
        return int((await reader.readuntil(b"\r\n\r\n")).split()[1])
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return 0


async def test_clients_that_come_together_are_all_there_a_moment_later() -> None:
    async with running(handshakes_per_s=100, handshake_burst=8) as gateway, AsyncExitStack() as stack:
        clients = await asyncio.gather(
            *(stack.enter_async_context(connect(gateway.url, client_type="workflow")) for _ in range(40))
        )
        assert len({client.client_id for client in clients}) == 40
        admission = gateway.core.admission
        assert admission.admitted[ClientType.WORKFLOW] == 40
        assert admission.refused[Reason.HANDSHAKES, ClientType.WORKFLOW] >= 20


async def test_a_panel_gets_in_while_a_flood_is_refused() -> None:
    async with (
        running(max_connections=16, handshakes_per_s=1, handshake_burst=24, reserved_connections=2) as gateway,
        AsyncExitStack() as stack,
    ):
        flood = [await stack.enter_async_context(handshake(gateway, "agent")) for _ in range(60)]
        statuses = [await status_of(reader) for reader, _ in flood]
        assert statuses == [101] * 14 + [503] * 46
        panel = await stack.enter_async_context(connect(gateway.url, client_type="admin_panel"))
        await panel.publish("wf/a", np.zeros(1), kind="state")
        with pytest.raises(ConnectionFailed, match="max_connections=16"):
            await connect(gateway.url, client_type="agent", connect_timeout_s=1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on its loopback interface")
async def test_floods_from_single_addresses_keep_nobody_else_out() -> None:
    async with (
        running(address_connections=5, address_handshakes_per_s=1.0, exempt_networks="") as gateway,
        AsyncExitStack() as stack,
    ):
        silent = [
            await asyncio.open_connection("127.0.0.1", gateway.port, local_addr=("127.0.0.9", 0)) for _ in range(30)
        ]
        assert [await read_all(reader) for reader, _ in silent[10:]] == [b""] * 20
        flood = [await stack.enter_async_context(handshake(gateway, "agent", "127.0.0.7")) for _ in range(8)]
        assert sorted([await status_of(reader) for reader, _ in flood]) == [101] * 2 + [429] * 6
        for client_type in ("admin_panel", "agent"):
            await stack.enter_async_context(connect(gateway.url, client_type=client_type))
        for _, writer in silent:
            writer.close()


async def test_a_misspelt_type_is_refused_in_words_and_takes_no_place() -> None:
    async with running(max_connections=1) as gateway, AsyncExitStack() as stack:
        for wrong in ("agnet", "", "admin-panel"):
            reader, _ = await stack.enter_async_context(handshake(gateway, wrong))
            answer = (await read_all(reader)).decode()
            assert answer.startswith("HTTP/1.1 400 ")
            assert f"client_type={wrong!r} is none of " in answer
        assert not gateway.core.admission.admitted
        await stack.enter_async_context(connect(gateway.url, client_type="agent"))


async def test_a_client_that_hello_finds_no_room_for_is_told_when_to_return() -> None:
    async with (
        running(agent=ClientBudget(connections=1), handshakes_per_s=0) as gateway,
        connect(gateway.url, client_type="agent", client_id="first"),
        raw_websocket(gateway.url, SUBPROTOCOL_JSON) as websocket,
    ):
        await websocket.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
        error = orjson.loads(await websocket.recv())
        assert error["message_type"] == "error"
        assert error["payload"]["code"] == Code.TOO_MANY_CONNECTIONS
        assert 5 <= error["payload"]["retry_after_s"] <= 10
        with pytest.raises(WebSocketClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == Code.TOO_MANY_CONNECTIONS


async def test_a_client_comes_back_in_the_place_of_its_own_connection() -> None:
    async with (
        running(agent=ClientBudget(connections=1)) as gateway,
        raw_websocket(gateway.url) as first,
        raw_websocket(gateway.url) as second,
    ):
        await RawPeer(first).hello("me")
        await RawPeer(second).hello("me")
        assert gateway.core.pool.population.by_type[ClientType.AGENT] == 1


async def test_a_type_that_was_claimed_falsely_is_no_way_in() -> None:
    async with running() as gateway, raw_websocket(f"{gateway.url}/?client_type=admin_panel") as websocket:
        await websocket.send(bytes(write_session(Hello((1,), ClientType.AGENT))))
        assert await websocket.recv()
        with pytest.raises(WebSocketClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == Code.BAD_HELLO
        assert "client_type" in closed.value.rcvd.reason


async def test_a_publisher_above_its_budget_is_slowed_down_and_loses_nothing() -> None:
    async with (
        running(agent=ClientBudget(messages_per_s=2000)) as gateway,
        connect(gateway.url, client_type="agent") as publisher,
        connect(gateway.url, client_type="workflow") as other,
        other.subscribe("wf/a") as messages,
    ):
        receipts = asyncio.gather(*(publisher.publish("wf/a", np.array(n), kind="event") for n in range(4000)))
        assert [int((await anext(messages)).tensor) for _ in range(4000)] == list(range(4000))
        assert [receipt.offset for receipt in await receipts] == list(range(4000))


async def test_an_sdk_client_that_does_nothing_is_closed_and_says_so() -> None:
    errors: asyncio.Queue[Exception] = asyncio.Queue()
    async with (
        running(idle_timeout_s=0.2) as gateway,
        connect(gateway.url, client_type="agent", on_error=errors.put_nowait) as idle,
        connect(gateway.url, client_type="agent") as busy,
        busy.subscribe("wf/a"),
    ):
        error = await errors.get()
        assert isinstance(error, ConnectionClosed)
        assert error.code == Code.NORMAL
        with pytest.raises(ConnectionClosed, match=r"idle_timeout_s=0\.2"):
            await idle.publish("wf/a", np.zeros(1), kind="event")
        await busy.publish("wf/a", np.zeros(1), kind="event")
        assert gateway.core.idle_sessions.closed == 1


async def test_an_sdk_client_returns_when_it_was_told_to() -> None:
    async with running(handshakes_per_s=20, handshake_burst=8) as gateway, AsyncExitStack() as stack:
        patient = Backoff(base_s=0.01, cap_s=3600.0, later_s=3600.0)  # nothing but the gateway's word brings it back
        clients = [
            await stack.enter_async_context(connect(gateway.url, client_type="agent", backoff=patient))
            for _ in range(12)
        ]
        for session in gateway.core.pool:
            session.connection.transport.close(Code.GOING_AWAY, "again")
        await asyncio.gather(*(client.publish("wf/a", np.zeros(1), kind="event") for client in clients))
        assert gateway.core.admission.refused[Reason.HANDSHAKES, ClientType.AGENT] >= 2
