"""A TCP proxy between clients and a gateway that does what networks do: cuts, holds back, and loses.

It knows bytes only. Whoever needs a message lost or cut says after how many bytes, or makes the proxy swallow what
comes from one side before the message is sent.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

READ_BYTES = 64 * 1024


class Way(enum.Enum):
    """A direction."""

    TO_GATEWAY = "to the gateway"
    TO_CLIENT = "to the client"


class Link:
    """One connection of a client through the proxy.

    Attributes:
        passed_bytes: by direction, what was handed on.
    """

    def __init__(self, client: asyncio.StreamWriter, gateway: asyncio.StreamWriter) -> None:
        self.writers = {Way.TO_CLIENT: client, Way.TO_GATEWAY: gateway}
        self.passed_bytes = {Way.TO_CLIENT: 0, Way.TO_GATEWAY: 0}
        self.forsaken = False
        self.over = asyncio.Event()
        for writer in self.writers.values():
            # So that drain() waits until the operating system has everything: a cut is at the byte that was asked for.
            writer.transport.set_write_buffer_limits(high=0)

    def cut(self) -> None:
        """Close both sides at once, without a word."""
        self.over.set()
        for writer in self.writers.values():
            writer.transport.abort()

    def forsake(self) -> None:
        """Cut the client off. The gateway is not told: nobody reads what it writes, or answers, until :meth:`cut`."""
        self.forsaken = True
        self.writers[Way.TO_CLIENT].transport.abort()


class CuttingProxy:
    """The proxy. Make it with :func:`cutting_proxy`.

    Attributes:
        port: where clients connect.
        links: the connections that stand.
        connected: how many there were.
        passed_bytes: by direction, what was handed on in all connections, those that are gone too.
    """

    def __init__(self, gateway_url: str) -> None:
        self.lead_to(gateway_url)
        self._open = {way: asyncio.Event() for way in Way}
        self._swallowing: set[Way] = set()
        self._cut_at: dict[Way, int] = {}
        self._bytes_per_s: dict[Way, float] = {}
        self.port = 0
        self.links: list[Link] = []
        self.connected = 0
        self.passed_bytes = dict.fromkeys(Way, 0)
        self.accepting = True
        self._connection = asyncio.Event()
        for event in self._open.values():
            event.set()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}"

    def lead_to(self, gateway_url: str) -> None:
        """Where later connections lead."""
        parts = urlsplit(gateway_url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = parts.hostname, parts.port

    async def next_connection(self) -> None:
        """Wait until another client, or the same one again, has connected."""
        await self._connection.wait()

    def cut(self) -> None:
        """Cut every connection that stands. Later ones are served, and nothing is held or swallowed any more."""
        for link in self.links:
            link.cut()
        self._swallowing.clear()
        for way in Way:
            self.release(way)

    def forsake(self) -> None:
        """Cut every client off that is connected, and leave the gateway with connections that are half dead."""
        for link in self.links:
            link.forsake()

    def cut_after(self, way: Way, size: int) -> None:
        """Cut the connection that hands on the byte number ``size`` from now, right after it. Once."""
        self._cut_at[way] = self.passed_bytes[way] + size

    def hold(self, way: Way) -> None:
        """Hand nothing on in this direction until :meth:`release` or :meth:`cut`: a network that has stalled."""
        self._open[way].clear()

    def release(self, way: Way) -> None:
        """Hand on what was held."""
        self._open[way].set()

    def pace(self, way: Way, bytes_per_s: float) -> None:
        """Hand on no more than so many bytes a second in this direction, from now on: a slow line."""
        self._bytes_per_s[way] = bytes_per_s

    def swallow(self, way: Way) -> None:
        """Take and throw away what comes from now on, until :meth:`cut`: for answers that get lost."""
        self._swallowing.add(way)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        if not self.accepting:
            writer.transport.abort()
            return
        try:
            to_gateway = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, to_gateway[1])
        self.links.append(link)
        self.connected += 1
        waited_for, self._connection = self._connection, asyncio.Event()
        waited_for.set()
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, Way.TO_GATEWAY, reader))
                pumps.create_task(self._pump(link, Way.TO_CLIENT, to_gateway[0]))
        finally:
            link.cut()
            self.links.remove(link)

    async def _pump(self, link: Link, way: Way, reader: asyncio.StreamReader) -> None:
        """Hand on what comes from one side, until either is gone."""
        with suppress(OSError):
            while data := await reader.read(READ_BYTES):
                await self._open[way].wait()
                if not await self._hand_on(link, way, data):
                    break
                if way in self._bytes_per_s:
                    await asyncio.sleep(len(data) / self._bytes_per_s[way])
        if link.forsaken:
            await link.over.wait()
        link.cut()

    async def _hand_on(self, link: Link, way: Way, data: bytes) -> bool:
        if way in self._swallowing:
            return True
        cut_at = self._cut_at.get(way)
        room = len(data) if cut_at is None else min(len(data), cut_at - self.passed_bytes[way])
        writer = link.writers[way]
        if writer.transport.is_closing():
            return False
        writer.write(data[:room])
        self.passed_bytes[way] += room
        link.passed_bytes[way] += room
        await writer.drain()
        if self.passed_bytes[way] != cut_at:
            return True
        del self._cut_at[way]
        return False


@asynccontextmanager
async def cutting_proxy(gateway_url: str) -> AsyncIterator[CuttingProxy]:
    """A proxy on a free port before the gateway at ``gateway_url``."""
    proxy = CuttingProxy(gateway_url)
    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(proxy.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        while serving:
            await asyncio.wait(serving)
        await server.wait_closed()
