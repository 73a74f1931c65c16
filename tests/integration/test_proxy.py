"""The cutting proxy does to a connection what it says, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.integration.peer import until
from tests.integration.proxy import CuttingProxy, Way, cutting_proxy


class Collector:
    """A server that keeps what comes and, unless it was told not to, sends it back."""

    def __init__(self) -> None:
        self.echoing = True
        self.received = bytearray()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while data := await reader.read(65536):
                self.received += data
                if self.echoing:
                    writer.write(data)
        except ConnectionError:
            pass
        writer.close()


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    server = await asyncio.start_server(collector.serve, "127.0.0.1", 0)
    collector.port = server.sockets[0].getsockname()[1]
    yield collector
    server.close()


@pytest_asyncio.fixture
async def proxy(collector: Collector) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(f"ws://127.0.0.1:{collector.port}") as running:
        yield running


@asynccontextmanager
async def through(proxy: CuttingProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the connection is cut."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_what_passes_is_handed_on_and_counted(proxy: CuttingProxy) -> None:
    async with through(proxy) as (reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert proxy.passed_bytes == {Way.TO_GATEWAY: 5, Way.TO_CLIENT: 5}
        assert proxy.connected == 1


@pytest.mark.parametrize("size", [1, 100, 300_000])
async def test_it_cuts_right_after_the_byte_that_was_named(
    proxy: CuttingProxy, collector: Collector, size: int
) -> None:
    collector.echoing = False  # a socket that is closed on unread answers is reset, and what it has sent may be lost
    async with through(proxy) as (reader, writer):
        proxy.cut_after(Way.TO_GATEWAY, size)
        writer.write(bytes(400_000))
        await ended(reader)
        await until(lambda: len(collector.received) == size)
        assert proxy.passed_bytes[Way.TO_GATEWAY] == size
    collector.echoing = True
    async with through(proxy) as (reader, writer):
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"


async def test_what_is_held_comes_when_it_is_released(proxy: CuttingProxy, collector: Collector) -> None:
    async with through(proxy) as (reader, writer):
        proxy.hold(Way.TO_CLIENT)
        writer.write(b"question")
        await until(lambda: collector.received == b"question")
        assert proxy.passed_bytes[Way.TO_CLIENT] == 0
        proxy.release(Way.TO_CLIENT)
        assert await reader.readexactly(8) == b"question"


async def test_what_is_swallowed_is_lost_until_the_cut(proxy: CuttingProxy, collector: Collector) -> None:
    async with through(proxy) as (reader, writer):
        proxy.swallow(Way.TO_CLIENT)
        writer.write(b"lost")
        await until(lambda: collector.received == b"lost")
        proxy.cut()
        assert await ended(reader) == b""
    async with through(proxy) as (reader, writer):
        writer.write(b"kept")
        assert await reader.readexactly(4) == b"kept"


async def test_a_proxy_that_does_not_accept_cuts_at_once(proxy: CuttingProxy, collector: Collector) -> None:
    proxy.accepting = False
    async with through(proxy) as (reader, _):
        assert await ended(reader) == b""
        assert not collector.received


async def test_a_slow_line_hands_on_everything(proxy: CuttingProxy, collector: Collector) -> None:
    data = bytes(range(256)) * 1000
    proxy.pace(Way.TO_CLIENT, 4_000_000)
    async with through(proxy) as (reader, writer):
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
    assert bytes(collector.received) == data
