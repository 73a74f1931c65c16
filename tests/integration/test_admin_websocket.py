"""The WebSocket of the admin port, ``/ws``: that of the gateway, by the same rules, whatever else comes to the port."""

from __future__ import annotations

import asyncio
import gc
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx
import numpy as np
import orjson
import pytest
import pytest_asyncio

from gateway.admin import serving
from gateway.admin.http.http_connection import HttpConnection
from gateway.app import Gateway
from gateway.client import connect
from gateway.client.sync import connect as connect_blocking
from gateway.config import Settings
from gateway.connections.admission.settings import AdmissionSettings
from gateway.connections.core_settings import CoreSettings
from gateway.protocol.messages import ClientType, Hello
from gateway.protocol.session_body import write_session
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import running_gateway
from tests.collector import collector_off
from tests.integration.peer import raw_websocket
from tests.server.memory import masked

SETTINGS = Settings(admin_port=0, drain_deadline_s=5.0)
HEAD = (
    b"GET /ws HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: frys.v1\r\n\r\n"
)
HELLO = masked(2, write_session(Hello((1,), ClientType.ADMIN_PANEL)))
PROBE = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"
MANY = 1000


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway(SETTINGS) as running:
        yield running


def url_of(gateway: Gateway) -> str:
    return f"ws://127.0.0.1:{gateway.admin_port}/ws"


async def opened(gateway: Gateway, *parts: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket to the admin port to which these bytes were written, each in a packet of its own if it can be."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.admin_port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    return reader, writer


async def status_of(gateway: Gateway, request: bytes) -> int:
    """Status of the answer; 0: the socket is closed without one, as on the other port."""
    reader, writer = await opened(gateway, request)
    line = await reader.readline()
    writer.close()
    return int(line.split()[1]) if line else 0


async def health(gateway: Gateway) -> int:
    async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60, verify=False) as http:
        return (await http.get("/healthz")).status_code


async def frame(reader: asyncio.StreamReader) -> bytes:
    """The payload of the next WebSocket frame of the gateway."""
    _, size = await reader.readexactly(2)
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    return await reader.readexactly(size)


# Clients.


async def test_clients_of_both_ports_meet(gateway: Gateway) -> None:
    large = np.arange(1 << 20, dtype="f4")
    async with connect(url_of(gateway), client_type="admin_panel") as panel, connect(gateway.url) as agent:
        async with panel.subscribe("wf/*") as received:
            await agent.publish("wf/small", np.arange(3), kind="event")
            assert (await anext(received)).tensor.tolist() == [0, 1, 2]
            await agent.publish("wf/large", large)
            assert np.array_equal((await anext(received)).tensor, large)
        await panel.publish("wf/back", large)
        async with agent.subscribe("wf/back") as returned:
            assert np.array_equal((await anext(returned)).tensor, large)


async def test_the_blocking_client(gateway: Gateway) -> None:
    def work() -> list[int]:
        with connect_blocking(url_of(gateway)) as client, client.subscribe("wf/a") as received:
            client.publish("wf/a", np.arange(3), kind="event")
            found: list[int] = next(iter(received)).tensor.tolist()
            return found

    assert await asyncio.to_thread(work) == [0, 1, 2]


async def test_the_json_subprotocol(gateway: Gateway) -> None:
    async with raw_websocket(url_of(gateway), SUBPROTOCOL_JSON) as websocket:
        await websocket.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
        assert orjson.loads(await websocket.recv())["message_type"] == "welcome"


async def test_the_type_of_a_client_counts_as_on_the_other_port() -> None:
    core = CoreSettings(max_connections=8, admission=AdmissionSettings(reserved_connections=1))
    async with running_gateway(replace(SETTINGS, core=core)) as gateway, AsyncExitStack() as stack:
        for _ in range(7):
            await stack.enter_async_context(connect(gateway.url))
        assert await status_of(gateway, HEAD) == 503
        assert await status_of(gateway, HEAD.replace(b"/ws", b"/ws?client_type=admin_panel")) == 101


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"http://gateway", 101),
        (b"null", 403),
        (b"http://127.0.0.1:8766", 403),
        (b"https://elsewhere.example", 403),
        (b"http://gateway\r\nOrigin: http://elsewhere.example", 403),
    ],
)
async def test_a_page_from_elsewhere_gets_none(gateway: Gateway, origin: bytes, status: int) -> None:
    assert await status_of(gateway, HEAD.replace(b"Host:", b"Origin: " + origin + b"\r\nHost:")) == status


async def test_a_page_whose_name_leads_here_for_a_moment_gets_none(gateway: Gateway) -> None:
    for headers in (b"Host: elsewhere.example", b"Host: gateway\r\nHost: gateway"):
        request = HEAD.replace(b"Host: gateway", headers + b"\r\nOrigin: http://elsewhere.example")
        assert await status_of(gateway, request) == 421
    assert await health(gateway) == 200


# Requests of every kind.


@pytest.mark.parametrize("cuts", [(1,), (6, 7), (len(HEAD) - 2,), tuple(range(10, len(HEAD), 40)), (len(HEAD),), ()])
async def test_a_request_in_any_split_with_messages_behind_it(gateway: Gateway, cuts: tuple[int, ...]) -> None:
    data = HEAD + HELLO
    parts = [data[start:end] for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True)]
    reader, writer = await opened(gateway, *parts)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await frame(reader)  # WELCOME
    assert len(gateway.core.pool) == 1
    writer.close()


async def test_a_request_behind_others_as_proxies_send_them_that_keep_connections(gateway: Gateway) -> None:
    reader, writer = await opened(gateway, PROBE + PROBE + HEAD + HELLO)
    for _ in range(2):
        assert (await reader.readuntil(b'"}')).startswith(b"HTTP/1.1 200 ")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await frame(reader)
    writer.close()


async def test_more_behind_a_request_than_is_read_at_once(gateway: Gateway) -> None:
    garbage = masked(2, bytes(1 << 20))
    reader, writer = await opened(gateway, HEAD[:-1])
    writer.write(HEAD[-1:] + HELLO + garbage)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await frame(reader)
    assert await frame(reader)  # the close, as the gateway does not know such a frame
    writer.transport.abort()
    assert await health(gateway) == 200


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"GET /ws", b"POST /ws", 405),
        (b"GET /ws", b"HEAD /ws", 426),
        (b"HTTP/1.1", b"HTTP/1.0", 426),
        (b"Upgrade: websocket", b"Upgrade: h2c", 426),
        (b"Upgrade: websocket\r\n", b"", 426),
        (b"Connection: Upgrade", b"Connection: close", 426),
        (b"Version: 13", b"Version: 12", 400),
        (b"Key: dGhl", b"Key: !", 400),
        (b"frys.v1", b"mqtt", 400),
        (b"/ws", b"/ws?client_type=nobody", 400),
        (b"/ws", b"/ws/more", 404),
        (b"/ws", b"/%77s", 426),
        (b"Host:", b"Content-Length: 5\r\nHost:", 0),
        (b"Host:", b"Transfer-Encoding: chunked\r\nHost:", 0),
        (b"Host:", b"Cookie: " + b"a" * 9000 + b"\r\nHost:", 431),
        (b"Host:", b"No colon\r\nHost:", 0),
    ],
)
async def test_requests_that_get_no_websocket(gateway: Gateway, old: bytes, new: bytes, status: int) -> None:
    assert await status_of(gateway, HEAD.replace(old, new, 1) + b"5\r\nhello\r\n0\r\n\r\n") == status
    assert await health(gateway) == 200
    assert not len(gateway.core.pool)


# Places, and the end.


async def test_a_websocket_takes_no_place_of_the_admin_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 2)
    async with (
        running_gateway(SETTINGS) as gateway,
        connect(url_of(gateway)) as first,
        connect(url_of(gateway)),
        connect(url_of(gateway)),
    ):
        for _ in range(4):
            assert await health(gateway) == 200
        async with first.subscribe("wf/a") as received:
            await first.publish("wf/a", np.arange(3))
            assert (await anext(received)).tensor.tolist() == [0, 1, 2]


@pytest.mark.parametrize("before", [b"", PROBE])
async def test_nothing_of_the_http_connection_remains(gateway: Gateway, before: bytes) -> None:
    with collector_off():
        reader, writer = await opened(gateway, before + HEAD + HELLO)
        await reader.readuntil(b"HTTP/1.1 101 ")
        while not len(gateway.core.pool):  # noqa: ASYNC110 - nothing tells of a connection
            await asyncio.sleep(0)
        assert not [thing for thing in gc.get_objects() if isinstance(thing, HttpConnection)]
    writer.transport.abort()


async def test_very_many_that_leave_at_once_or_ask_for_nothing_that_there_is(gateway: Gateway) -> None:
    kinds = (
        HEAD,
        HEAD + HELLO,
        HEAD.replace(b"13", b"12"),
        HEAD[:50],
        HEAD + b"\xff" * 1000,
        HEAD.replace(b"/ws", b"/"),
    )
    async with connect(url_of(gateway)) as client:
        for first in range(0, MANY, 100):
            batch = [await opened(gateway, kinds[number % len(kinds)]) for number in range(first, first + 100)]
            for _, writer in batch:
                writer.transport.abort()
        await client.publish("wf/a", np.arange(3))
        assert await health(gateway) == 200
        while len(gateway.core.pool) > 1:  # noqa: ASYNC110 - nothing tells of connections that are gone
            await asyncio.sleep(0)


async def test_a_client_is_told_of_the_stop() -> None:
    async with running_gateway(replace(SETTINGS, drain_deadline_s=1.0)) as gateway:
        reader, writer = await opened(gateway, HEAD + HELLO)
        await reader.readuntil(b"\r\n\r\n")
        await frame(reader)
        stopping = asyncio.create_task(gateway.stop())
        last = await reader.read(1 << 16)
        while (piece := await reader.read(1 << 16)) and (1001).to_bytes(2, "big") not in last:
            last += piece
        assert (1001).to_bytes(2, "big") in last
        writer.close()
        await stopping
        assert not len(gateway.core.pool)
