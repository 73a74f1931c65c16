"""Opening of a socket: what fails is said in words that help."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client.session.socket_opening import open_socket, parse_url, with_client_type
from gateway.errors import ConnectionFailed, InvalidArgument
from tests.client.scripted_gateway import ScriptedGateway
from tests.client.session.test_socket import Owner


async def test_nobody_listening_is_said_so() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionFailed, match="frys serve"):
        await open_socket(parse_url(f"ws://127.0.0.1:{port}"), Owner(), max_frame_bytes=1, tls=None)


async def test_an_http_server_is_told_from_a_gateway(scripted: ScriptedGateway) -> None:
    scripted.status = 404
    with pytest.raises(ConnectionFailed, match="HTTP 404"):
        await open_socket(parse_url(scripted.url), Owner(), max_frame_bytes=1000, tls=None)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_that_cannot_answer_now_is_no_mistake_of_the_url(scripted: ScriptedGateway, status: int) -> None:
    scripted.status = status
    with pytest.raises(ConnectionFailed, match=f"HTTP {status} instead of a WebSocket: try again later"):
        await open_socket(parse_url(scripted.url), Owner(), max_frame_bytes=1000, tls=None)


async def test_another_websocket_server_is_told_from_a_gateway(scripted: ScriptedGateway) -> None:
    scripted.subprotocol = "chat"
    with pytest.raises(ConnectionFailed, match=r"HTTP 400|frys\.v1"):
        await open_socket(parse_url(scripted.url), Owner(), max_frame_bytes=1000, tls=None)


@pytest.mark.parametrize("answer", [b"220 mail ready\r\n", b""])
async def test_something_else_is_told_from_a_gateway(answer: bytes) -> None:
    class Other(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.write(answer)  # type: ignore[attr-defined]
            transport.close()

    server = await asyncio.get_running_loop().create_server(Other, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(ConnectionFailed, match="gateway"):
        await open_socket(parse_url(url), Owner(), max_frame_bytes=1000, tls=None)
    server.close()
    await server.wait_closed()


async def test_a_name_that_cannot_be_resolved_is_said_so() -> None:
    with pytest.raises(ConnectionFailed, match="resolved"):
        await open_socket(parse_url("ws://no-such-host.invalid"), Owner(), max_frame_bytes=1000, tls=None)


async def test_no_tls_where_tls_is_expected_is_said_so(scripted: ScriptedGateway) -> None:
    with pytest.raises(ConnectionFailed, match="TLS"):
        await open_socket(parse_url(scripted.url.replace("ws:", "wss:")), Owner(), max_frame_bytes=1000, tls=None)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://x", "scheme isn't ws or wss"),
        ("localhost:8765", "scheme isn't ws or wss"),
        ("", "scheme isn't ws or wss"),
        ("ws://", "hostname isn't provided"),
        ("ws://h:port", "Port could not be cast to integer value as 'port'"),
    ],
)
def test_a_url_that_is_none_is_refused_once(url: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_url(url)
    assert str(refused.value) == f"{url!r} is not a gateway's URL such as ws://127.0.0.1:8765 ({reason})"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://host", "/?client_type=agent"),
        ("ws://host/x?a=b", "/x?a=b&client_type=agent"),
        ("ws://host/?client_type=workflow&a=b", "/?a=b&client_type=agent"),
    ],
)
def test_the_url_names_the_type_of_the_client(url: str, expected: str) -> None:
    assert with_client_type(parse_url(url), "agent").resource_name == expected
