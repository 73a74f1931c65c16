"""A gateway that does what a test tells it to: for what a real one never does, or does only by accident.

A real TCP server with the real WebSocket core; only the answers are the test's. By itself it welcomes, answers pings
says yes to subscriptions, and takes large replies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode as WebSocketOpcode
from websockets.http11 import Request
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.ids import ClientId
from gateway.protocol.codecs import CODEC_NAMES
from gateway.protocol.data import parse_data
from gateway.protocol.frames import Frame, body_of, iter_frames
from gateway.protocol.limits import Limits, WelcomeLimits
from gateway.protocol.messages import (
    SessionMessage,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from gateway.protocol.session_body import parse_session, write_session
from gateway.protocol.signals import Ping, Pong, Resume
from gateway.protocol.wire import SUBPROTOCOL_BINARY, Buffer, Opcode


class Received(NamedTuple):
    """A frame from the client."""

    opcode: int
    message: memoryview
    frame: Frame

    def session(self) -> SessionMessage:
        """The message in its JSON body."""
        return parse_session(self.opcode, body_of(self.message, self.frame))


class Peer(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, gateway: ScriptedGateway) -> None:
        self._gateway = gateway
        self._protocol = ServerProtocol(subprotocols=[Subprotocol(gateway.subprotocol)], max_size=None)
        self._transport: asyncio.Transport
        self._frames: asyncio.Queue[Received] = asyncio.Queue()
        self.gone = asyncio.get_running_loop().create_future()

    async def next(self, *opcodes: int) -> Received:
        """The next frame of these kinds; those before it are passed over."""
        while (received := await self._frames.get()).opcode not in opcodes:
            pass
        return received

    def waiting(self) -> list[Received]:
        """The frames that have come and were not asked for; they are taken out."""
        return [self._frames.get_nowait() for _ in range(self._frames.qsize())]

    def send(self, *frames: SessionMessage | Buffer | list[Buffer]) -> None:
        """Frames, in one WebSocket message."""
        parts: list[bytes] = []
        for frame in frames:
            if isinstance(frame, bytes | bytearray | memoryview):
                parts.append(bytes(frame))
            elif isinstance(frame, list):
                parts.append(b"".join(frame))
            else:
                parts.append(write_session(frame))
        self.send_binary(b"".join(parts))

    def send_binary(self, message: bytes, *, fin: bool = True) -> None:
        """A WebSocket message, or the first fragment of one."""
        self._protocol.send_binary(message, fin)
        self._flush()

    def send_continuation(self, data: bytes, *, fin: bool) -> None:
        """A further fragment."""
        self._protocol.send_continuation(data, fin)
        self._flush()

    def send_text(self, text: str) -> None:
        """A text message, which the subprotocol does not have."""
        self._protocol.send_text(text.encode())
        self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """A close frame."""
        self._protocol.send_close(code, reason)
        self._flush()

    def drop(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def write(self, data: bytes) -> None:
        """Bytes under the WebSocket."""
        self._transport.write(data)

    def pause_reading(self) -> None:
        """Take nothing from the client."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's are no asyncio.Transport
        self._gateway.peers.append(self)

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._handshake(event)
            elif isinstance(event, WebSocketFrame) and event.opcode is WebSocketOpcode.BINARY:
                message = memoryview(bytes(event.data))
                for frame in iter_frames(message):
                    self._frame_received(Received(frame.opcode, message, frame))
        self._flush()

    def eof_received(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self._gateway.peers.remove(self)
        if not self.gone.done():
            self.gone.set_result(self._protocol.close_rcvd)

    def _handshake(self, request: Request) -> None:
        response = self._gateway.handshake(self._protocol, request)
        if response:
            self._gateway.accepted_peers.put_nowait(self)

    def _frame_received(self, received: Received) -> None:
        self._gateway.answer(self, received)
        self._frames.put_nowait(received)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data is SEND_EOF or not data:
                self._transport.close()
            else:
                self._transport.write(data)


class ScriptedGateway:
    """The server. Make it with :func:`scripted_gateway`.

    Attributes:
        welcome: what it answers HELLO with; None: nothing.
        answers: what it answers by itself, by opcode; a test may change it.
    """

    def __init__(self) -> None:
        self.subprotocol = SUBPROTOCOL_BINARY
        self.status: int | None = None
        self.port = 0
        self.peers: list[Peer] = []
        self.accepted_peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.welcome: Welcome | None = Welcome(
            version=1,
            client_id=ClientId("made-up"),
            session="s",
            peer=1,
            codecs=tuple(CODEC_NAMES),
            filters=("shuffle", "patch"),
            limits=WelcomeLimits.of(Limits()),
            heartbeat_interval_s=60.0,
            time_ns=0,
        )
        self.answers: dict[int, Callable[[Peer, Received], None]] = {
            Opcode.HELLO: self._welcome,
            Opcode.PING: self._pong,
            Opcode.SUBSCRIBE: self._subscribed,
            Opcode.UNSUBSCRIBE: self._unsubscribed,
            Opcode.REPLY: self._taken,
        }

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}"

    async def accept(self) -> Peer:
        """The next connection, its WebSocket handshake done."""
        return await self.accepted_peers.get()

    def handshake(self, protocol: ServerProtocol, request: Request) -> bool:
        """Answer a handshake."""
        if self.status is not None:
            protocol.send_response(protocol.reject(self.status, "no"))
            return False
        protocol.send_response(protocol.accept(request))
        return protocol.state is State.OPEN

    def answer(self, peer: Peer, received: Received) -> None:
        """Answer a frame, if there is an answer for its opcode."""
        answer = self.answers.get(received.opcode)
        if answer is not None:
            answer(peer, received)

    def _welcome(self, peer: Peer, received: Received) -> None:
        if self.welcome is not None:
            peer.send(replace(self.welcome, time_ns=time.time_ns()))

    def _pong(self, peer: Peer, received: Received) -> None:
        now_ns = time.time_ns()
        peer.send(Pong(Ping.parse(received.message, received.frame).t0, now_ns, now_ns).write())

    def _subscribed(self, peer: Peer, received: Received) -> None:
        message = received.session()
        assert isinstance(message, Subscribe)
        if not message.more:
            peer.send(Subscribed(message.request, message.subscription))

    def _unsubscribed(self, peer: Peer, received: Received) -> None:
        message = received.session()
        assert isinstance(message, Unsubscribe)
        peer.send(Unsubscribed(message.request, message.subscription))

    def _taken(self, peer: Peer, received: Received) -> None:
        head = parse_data(received.message, received.frame)
        if head.plan is not None and head.resuming:
            peer.send(Resume(head.plan.transfer, 0).write())


@asynccontextmanager
async def scripted_gateway() -> AsyncIterator[ScriptedGateway]:
    """A scripted gateway on a free port."""
    gateway = ScriptedGateway()
    server = await asyncio.get_running_loop().create_server(lambda: Peer(gateway), "127.0.0.1", 0)
    gateway.port = server.sockets[0].getsockname()[1]
    try:
        yield gateway
    finally:
        server.close()
        for peer in list(gateway.peers):
            peer.drop()
        await server.wait_closed()
