"""A client that is nothing but a WebSocket and the spec: it can also do what no SDK would."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.ids import ClientId
from gateway.protocol.codecs import CODEC_NAMES
from gateway.protocol.data import write_data
from gateway.protocol.durability import Durability
from gateway.protocol.messages import ClientType, Credits, Hello, Kind, Open, SessionMessage, Subscribe, Welcome
from gateway.protocol.meta import write_meta
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import End, Ping, Pong
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import FLAG_ACK, SUBPROTOCOL_BINARY, Opcode
from tests.connections.frames import START_NS, message_frame
from tests.connections.reader import Reader

CHUNK_BYTES = 512 * 1024

_numbers = itertools.count(1)
"""Numbers of clients to which a test gives no name: two of them are two programs."""


class RawPeer:
    """A WebSocket client of ``frys.v1``.

    Args:
        websocket: open, nothing said yet.
        codecs: what it will agree on.
    """

    def __init__(self, websocket: ClientConnection, codecs: Sequence[str] = ()) -> None:
        self.websocket = websocket
        self.codecs = tuple(codecs)
        self.reader = Reader(frozenset(codecs))
        self.peer = 0
        self.sequences: dict[int, int] = {}

    async def hello(self, client_id: str, *, credits: bool | None = None) -> None:
        """Greet, and wait for WELCOME."""
        await self.say(Hello((1,), ClientType.AGENT, ClientId(client_id), codecs=self.codecs, credits=credits))
        await self.until(lambda reader: any(isinstance(entry, Welcome) for entry in reader.log))
        (welcome,) = [entry for entry in self.reader.log if isinstance(entry, Welcome)]
        self.peer = welcome.peer

    async def send(self, *frames: Sequence[bytes | bytearray | memoryview] | bytes) -> None:
        """Send frames as one WebSocket message."""
        await self.websocket.send(b"".join(frame if isinstance(frame, bytes) else b"".join(frame) for frame in frames))

    async def say(self, *messages: SessionMessage) -> None:
        """Send session messages as one WebSocket message."""
        await self.send(*map(write_session, messages))

    async def open(
        self, alias: int, stream: str, kind: Kind | None = None, durability: Durability | None = None
    ) -> None:
        """Open an alias; not awaited."""
        self.sequences[alias] = 0
        await self.say(Open(alias, stream, kind, durability))

    async def subscribe(self, pattern: str, subscription: int = 1, credits: Credits | None = None) -> None:
        """Subscribe, and wait for the answer."""
        known = len(self.reader.log)
        await self.say(Subscribe(subscription, subscription, pattern, credits=credits))
        await self.until(lambda reader: len(reader.log) > known)

    async def publish(self, alias: int, payload: bytes, *, ack: bool = False) -> None:
        """Publish a small message."""
        self.sequences[alias] += 1
        await self.send(message_frame(alias, self.sequences[alias], payload, ack=ack))

    async def publish_large(self, alias: int, payload: bytes, *, transfer: int = 1, chunks: int | None = None) -> None:
        """Publish a large message, or its head and only so many of its chunks."""
        self.sequences[alias] += 1
        plan = ChunkPlan(transfer, CHUNK_BYTES, len(payload))
        meta = write_meta([TensorSpec("", np.dtype(np.uint8), (len(payload),))], None)
        sequence = self.sequences[alias]
        await self.send(
            write_data(
                Opcode.MESSAGE,
                stream=alias,
                offset=sequence,
                timestamp_ns=START_NS,
                flags=FLAG_ACK,
                meta=meta,
                plan=plan,
            )
        )
        if chunks is None:
            await self.finish_large(transfer, payload)
            return
        for index in range(chunks):
            await self._send_chunk(transfer, payload, index)

    async def finish_large(self, transfer: int, payload: bytes, first: int = 0) -> None:
        """Send the chunks from ``first`` on, and END."""
        for index in range(first, -(-len(payload) // CHUNK_BYTES)):
            await self._send_chunk(transfer, payload, index)
        await self.send(End(transfer, 0, START_NS).write())

    async def _send_chunk(self, transfer: int, payload: bytes, index: int) -> None:
        view = memoryview(payload)[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        await self.send(write_chunk(transfer, index, (view,)))

    async def until(self, condition: Callable[[Reader], object]) -> Reader:
        """Read until something has arrived; PINGs are answered."""
        while not condition(self.reader):
            await self._read_one()
        return self.reader

    async def closing(self) -> int:
        """Read until the gateway closes; the code."""
        try:
            while True:
                await self._read_one()
        except ConnectionClosed as closed:
            return 1006 if closed.rcvd is None else closed.rcvd.code

    async def settle(self) -> Reader:
        """Read until everything that was sent so far has been answered."""
        known = self.pongs
        await self.send(Ping(1).write())
        return await self.until(lambda reader: self.pongs > known)

    @property
    def pongs(self) -> int:
        """How many PONGs have come."""
        return sum(isinstance(entry, Pong) for entry in self.reader.log)

    def reset(self) -> None:
        """Vanish: the socket is closed by RST, without a WebSocket close."""
        raw = self.websocket.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.websocket.transport.abort()

    def stop_reading(self) -> None:
        """From now on what comes stays in the sockets."""
        self.websocket.transport.pause_reading()

    def read_on(self) -> None:
        """Take it."""
        self.websocket.transport.resume_reading()

    async def _read_one(self) -> None:
        data = await self.websocket.recv()
        assert isinstance(data, bytes)
        for ping in self.reader.feed(data):
            with suppress(ConnectionClosed):  # messages that came before the close are still to be read
                await self.websocket.send(Pong(ping.t0, START_NS, START_NS).write())


@asynccontextmanager
async def raw_websocket(url: str, subprotocol: str = SUBPROTOCOL_BINARY) -> AsyncIterator[ClientConnection]:
    """A WebSocket that nothing was said on yet."""
    # Without a queue limit: a test need not read what it does not look at.
    async with connect(
        url,
        subprotocols=[Subprotocol(subprotocol)],
        compression=None,
        max_size=None,
        max_queue=None,
        ping_interval=None,
    ) as websocket:
        yield websocket


@asynccontextmanager
async def raw_peer(
    url: str, client_id: str, codecs: Sequence[str] = (), *, credits: bool | None = None
) -> AsyncIterator[RawPeer]:
    """A client that has said HELLO."""
    async with raw_websocket(url) as websocket:
        peer = RawPeer(websocket, codecs)
        await peer.hello(client_id, credits=credits)
        yield peer


@asynccontextmanager
async def publisher_of(url: str, *streams: str, kind: Kind = Kind.EVENT) -> AsyncIterator[RawPeer]:
    """A client that has opened these streams as aliases 0, 1, …"""
    async with raw_peer(url, f"publisher-{next(_numbers)}", CODEC_NAMES) as peer:
        for alias, stream in enumerate(streams):
            await peer.open(alias, stream, kind)
        await peer.settle()
        yield peer


@asynccontextmanager
async def subscriber_of(url: str, pattern: str, client_id: str = "") -> AsyncIterator[RawPeer]:
    """A client that has subscribed."""
    async with raw_peer(url, client_id or f"subscriber-{next(_numbers)}") as peer:
        await peer.subscribe(pattern)
        yield peer


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something holds; the test's own timeout is the limit."""
    while not condition():  # noqa: ASYNC110 - what the tests wait for tells nobody
        await asyncio.sleep(0.001)
