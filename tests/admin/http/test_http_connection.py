"""Connections of the admin port: no client keeps others from it, whatever it sends, reads, or leaves unfinished."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import h11
import httpx
import numpy as np
import pytest

from gateway.admin import serving
from gateway.admin.http.http_connection import MAX_CHUNK_LINE_BYTES, MAX_HEAD_BYTES, MAX_HEADERS, RequestParser
from gateway.admin.http.slots import TIMEOUTS_S, ConnectionSlots, Phase
from gateway.admin.port import AdminPort
from gateway.app import Gateway
from gateway.config import Settings
from gateway.testing import running_gateway
from tests.admin.files import saved

HALF = b"GET /healthz HTTP/1.1\r\n"
WHOLE = HALF + b"host: x\r\n\r\n"
PLACES = 8


class Client:
    """A socket to the admin port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> bytes:
        """The next answer, which has a length."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return head + await self._reader.readexactly(length)

    async def rest(self) -> bytes:
        """All that comes until the gateway closes the connection; a reset is the end, too."""
        received = bytearray()
        try:
            while piece := await self._reader.read(1 << 16):
                received += piece
        except ConnectionError:
            pass
        return bytes(received)


class Port:
    """Admin port under test."""

    def __init__(self, gateway: Gateway, stack: AsyncExitStack) -> None:
        self.gateway = gateway
        self.url = gateway.admin_url or ""
        self._stack = stack

    async def client(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.admin_port, limit=1 << 16)
        self._stack.callback(writer.close)
        self._stack.callback(writer.transport.abort)
        return Client(reader, writer)

    async def clients(self, count: int, start: bytes) -> list[Client]:
        """Clients that have sent the start of something, which has reached the gateway."""
        clients = [await self.client() for _ in range(count)]
        for client in clients:
            await client.send(start)
        return clients

    async def health(self) -> int:
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            return (await http.get("/healthz")).status_code


@asynccontextmanager
async def admin_port(gateway: Gateway) -> AsyncIterator[Port]:
    async with AsyncExitStack() as stack:
        yield Port(gateway, stack)


@pytest.fixture
async def port(gateway: Gateway) -> AsyncIterator[Port]:
    async with admin_port(gateway) as port:
        yield port


@pytest.fixture
async def small_port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    """A port with few places."""
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", PLACES)
    async with running_gateway(Settings(admin_port=0)) as gateway, admin_port(gateway) as port:
        yield port


def hurry(monkeypatch: pytest.MonkeyPatch, phase: Phase) -> list[ConnectionSlots[object]]:
    """Let the time of one phase be over at once; return the list to which each port adds its slots."""
    timeouts_s: Mapping[Phase, float] = {**TIMEOUTS_S, phase: 0.0}
    made: list[ConnectionSlots[object]] = []

    def slots(places: int, now: Callable[[], float]) -> ConnectionSlots[object]:
        made.append(ConnectionSlots(places, now, timeouts_s))
        return made[-1]

    monkeypatch.setattr(serving, "ConnectionSlots", slots)
    monkeypatch.setattr(serving, "SWEEP_INTERVAL_S", 0.01)
    return made


# Places.


@pytest.mark.parametrize(
    "start", [b"", b"G", HALF, WHOLE, b"PUT /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"]
)
async def test_connections_that_finish_nothing_lock_nobody_out(small_port: Port, start: bytes) -> None:
    for _ in range(2):
        await small_port.clients(3 * PLACES, start)
        assert await small_port.health() == 200


async def test_idle_connections_go_first(small_port: Port) -> None:
    idle, other_idle = await small_port.clients(2, WHOLE)
    for client in (idle, other_idle):
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")
    (unfinished,) = await small_port.clients(1, HALF)
    await small_port.clients(PLACES - 2, HALF)
    assert await idle.rest() == b""
    await unfinished.send(b"host: x\r\n\r\n")
    assert (await unfinished.answer()).startswith(b"HTTP/1.1 200 ")


async def test_answers_that_nobody_reads_lock_nobody_out(small_port: Port) -> None:
    async with httpx.AsyncClient(base_url=small_port.url, timeout=60) as http:
        (await http.put("/api/v1/streams/wf/a", content=saved(np.zeros(4 << 20, "u1")))).raise_for_status()
    request = b"GET /api/v1/streams/wf/a HTTP/1.1\r\nhost: x\r\n\r\n"
    for _ in range(2):
        await small_port.clients(PLACES, request)
        assert await small_port.health() == 200


async def test_a_client_is_refused_while_there_is_work_on_all_connections(small_port: Port) -> None:
    body = saved(np.zeros(1 << 20))
    head = b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    await small_port.clients(PLACES, head + body[: 1 << 16])
    while len(small_port.gateway.core.pool) < PLACES:  # noqa: ASYNC110 - nothing tells of a connection
        await asyncio.sleep(0)
    refused = await small_port.client()
    assert (await refused.rest()).startswith(b"HTTP/1.1 503 ")


async def test_the_last_file_descriptors_are_not_for_clients(gateway: Gateway) -> None:
    admin = await AdminPort.bind("127.0.0.1", 0)
    admin.start(gateway.core, 0.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.port)
    assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    writer.close()
    await admin.stop()


# Times.


async def test_half_a_head_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, Phase.UNFINISHED)
    async with running_gateway(Settings(admin_port=0)) as gateway, admin_port(gateway) as port:
        silent, half = await port.clients(1, b"") + await port.clients(1, HALF)
        assert await silent.rest() == b""
        assert (await half.rest()).startswith((b"HTTP/1.1 408 ", b""))


async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, Phase.IDLE)
    async with running_gateway(Settings(admin_port=0)) as gateway, admin_port(gateway) as port:
        (client,) = await port.clients(1, WHOLE)
        assert (await client.rest()).startswith(b"HTTP/1.1 200 ")


async def test_an_answer_that_is_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    made = hurry(monkeypatch, Phase.UNREAD)
    async with running_gateway(Settings(admin_port=0)) as gateway, admin_port(gateway) as port:
        (client,) = await port.clients(1, b"GET /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 2000)
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")
        (slots,) = made
        while len(slots):  # noqa: ASYNC110 - nothing tells of the end, as the client does not read
            await asyncio.sleep(0)
        assert (await client.rest()).count(b"HTTP/1.1") < 2000


# Requests.


@pytest.mark.parametrize(
    "lengths",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: 5, 6\r\n",
        b"content-length: -5\r\n",
        b"content-length: +5\r\n",
        b"content-length: 0x5\r\n",
        b"content-length: " + b"9" * 30 + b"\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"transfer-encoding : chunked\r\n",
    ],
)
async def test_an_ambiguous_length_closes_the_connection(port: Port, lengths: bytes) -> None:
    client = await port.client()
    smuggled = b"0\r\n\r\nPUT /api/v1/streams/wf/smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    await client.send(b"POST /healthz HTTP/1.1\r\nhost: x\r\n" + lengths + b"\r\n" + smuggled)
    answers = await client.rest()
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1") == 1


async def test_an_ambiguous_length_does_not_start_an_upload(port: Port) -> None:
    body = saved(np.zeros(3))
    client = await port.client()
    head = b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: %d\r\n\r\n"
    await client.send(head % len(body) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
    assert not len(port.gateway.core.streams)


@pytest.mark.parametrize("count", [1, 2, 500])
async def test_requests_that_come_at_once_are_answered_in_order(port: Port, count: int) -> None:
    (client,) = await port.clients(1, (WHOLE + WHOLE.replace(b"healthz", b"nowhere")) * count)
    for _ in range(count):
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")
        assert (await client.answer()).startswith(b"HTTP/1.1 404 ")


async def test_a_body_in_chunks_of_a_byte(port: Port) -> None:
    body = saved(np.arange(1000, dtype="u1"))
    client = await port.client()
    head = b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    await client.send(head + chunks + b"0\r\n\r\n" + WHOLE)
    assert b'"offset":0' in await client.answer()
    assert b"alive" in await client.answer()


async def test_a_body_that_nobody_wants_and_requests_behind_it(port: Port) -> None:
    client = await port.client()
    unwanted = b"POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n" + bytes(300_000)
    await client.send((unwanted + WHOLE) * 3)
    for _ in range(3):
        assert (await client.answer()).startswith(b"HTTP/1.1 405 ")
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("garbage", [b"zz\r\n", b"-1\r\n", b"1\r\nxyz\r\n", b"f" * 30 + b"\r\n", b"1;" + b"a" * 9000])
async def test_a_body_that_breaks_off_as_garbage(port: Port, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    data = saved(np.zeros(1 << 16))[: 1 << 12]
    client = await port.client()
    head = b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    await client.send(head + b"%x\r\n%b\r\n" % (len(data), data) + garbage)
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
    assert await port.health() == 200
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]
    assert not any(session.transfers for session in port.gateway.core.pool)


async def test_garbage_behind_a_request_cuts_its_answer_off(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    async with httpx.AsyncClient(base_url=port.url, timeout=60) as http:
        (await http.put("/api/v1/streams/wf/a", content=saved(np.zeros(1 << 20)))).raise_for_status()
    client = await port.client()
    await client.send(b"GET /api/v1/streams/wf/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    await client.send(b"zz\r\n")
    await client.rest()
    assert await port.health() == 200
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def test_a_head_that_is_too_long(port: Port) -> None:
    (client,) = await port.clients(1, HALF + b"a:\r\n" * MAX_HEAD_BYTES)
    assert (await client.rest()).startswith((b"HTTP/1.1 431 ", b""))
    assert await port.health() == 200


@pytest.mark.parametrize("in_lines", [False, True])
async def test_a_head_that_is_too_long_and_comes_at_once(port: Port, in_lines: bool) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
    more = MAX_HEAD_BYTES - len(start) - len(b"X: \r\n\r\n")
    for size, status in ((more, b"200"), (more + 1, b"431")):
        line = b"\r\nX: " + b"x" * (size // 100)
        more_lines, rest = divmod(size - 1, len(line)) if in_lines else (0, size - 1)
        lines = b"X: x" + line * more_lines + b"x" * rest
        (client,) = await port.clients(1, start + lines + b"\r\n\r\n")
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 " + status)
    problem = f"the head exceeds {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} headers"
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == problem


@pytest.mark.parametrize("is_cut", [False, True])
async def test_a_head_of_very_many_headers(port: Port, is_cut: bool) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
    for headers, status in ((MAX_HEADERS, b"200"), (MAX_HEADERS + 1, b"431")):
        rest = b"a:\r\n" * (headers - 2) + b"\r\n"
        (client,) = await port.clients(1, start + rest[: 100 if is_cut else len(rest)])
        if is_cut:
            await client.send(rest[100:])
        assert (await client.rest()).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("pieces", [1, 2, 3])
@pytest.mark.parametrize("end", [b"0\r\n", b"00;a=b\r\n"])
async def test_very_many_trailers(port: Port, pieces: int, end: bytes) -> None:
    file = saved(np.zeros(1))
    head = b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%b\r\n" % (len(file), file) + end
    for trailers, status in ((0, b"200"), (MAX_HEADERS, b"200"), (MAX_HEADERS + 1, b"400"), (12_000, b"400")):
        parts = [head + chunks, b"a:\r\n" * trailers, b"\r\n"]
        (client,) = await port.clients(1, b"".join(parts[: 4 - pieces]))
        for part in parts[4 - pieces :]:
            await client.send(part)
        assert (await client.rest()).startswith(b"HTTP/1.1 " + status), trailers


CHUNKED = b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "refusal"),
    [
        ([WHOLE[:-2] + b"a:" + b" " * 8000 + b"\0\r\n\r\n"], "no text"),
        ([WHOLE[:-2] + b"a:" + b" " * 8000 + b"\r", b"x\r\n\r\n"], "no text"),
        ([CHUNKED, b"0\r\na:" + b" " * 8000 + b"\x0b\r\n\r\n"], "no text"),
        ([CHUNKED, b"1;" + b" " * MAX_CHUNK_LINE_BYTES + b"\n\r\n"], "line of a chunk"),
        ([CHUNKED, b"1\r\nx\r\n1;" + b" " * MAX_CHUNK_LINE_BYTES, b"\r\n"], "line of a chunk"),
        ([CHUNKED, b"1\r\nx\r", b"\n0\r\n" + b"a:\r\n" * 12_000 + b"\r\n"], "too long"),
        ([CHUNKED, b"0;\r\r\n" + b"a:\r\n" * 12_000 + b"\r\n"], "too long"),
    ],
)
def test_what_would_take_long_to_parse_is_refused_before(pieces: list[bytes], refusal: str) -> None:
    parser = RequestParser()

    def parse() -> None:
        for piece in pieces:
            parser.receive_data(piece)
            parser.allowance = 8
            while parser.next_event() is not h11.NEED_DATA:
                pass

    with pytest.raises(h11.RemoteProtocolError, match=refusal):
        parse()


async def test_the_size_of_a_chunk_may_come_apart_from_its_data(port: Port) -> None:
    file = saved(np.frombuffer(b"0\r\n" + b"a\n" * 300, "u1"))
    head = b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    split = len(file) - 604
    (client,) = await port.clients(1, head + b"%x\r\n%b\r\n%x\r\n" % (split, file[:split], 604))
    await client.send(file[split:] + b"\r\n0\r\n\r\n")
    assert (await client.rest()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("trailers", [b"", b"a:\r\n"])
async def test_the_head_behind_a_chunked_body_has_its_own_bounds(port: Port, trailers: bytes) -> None:
    file = saved(np.zeros(1))
    put = b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n"
    for headers, status in ((MAX_HEADERS, b"200"), (MAX_HEADERS + 1, b"431")):
        get = HALF + b"Host: x\r\nConnection: close\r\n" + b"a:\r\n" * (headers - 2) + b"\r\n"
        (client,) = await port.clients(1, put % (len(file), file) + trailers + b"\r\n" + get)
        assert (await client.answer()).startswith(b"HTTP/1.1 200 ")
        assert (await client.rest()).startswith(b"HTTP/1.1 " + status)


async def test_a_body_that_looks_like_very_many_trailers(port: Port) -> None:
    body = b"0\r\n" + b"a:\r\n" * 2000
    for framing in (b"Content-Length: %d\r\n\r\n%b", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"):
        head = b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        (client,) = await port.clients(1, head + framing % (len(body), body))
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"npy" in answer


async def test_the_log_tells_of_bad_requests_once_in_a_while(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        (client,) = await port.clients(1, b"\0\r\n\r\n")
        await client.rest()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == [
        "Invalid HTTP request received."
    ]
