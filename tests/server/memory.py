"""Sockets in memory: what asyncio and uvloop do around a :class:`WebSocketConnection`, without a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from gateway.protocol.wire import SUBPROTOCOL_BINARY, Buffer
from gateway.server.listener import Listener
from gateway.server.websocket import WebSocketConnection
from tests.connections.memory import World


class ManualLoop:
    """Takes calls for later, and never makes them unless it is told to."""

    def __init__(self) -> None:
        self.later: list[Callable[..., object]] = []
        self._soon: list[Callable[[], object]] = []

    def call_soon(self, callback: Callable[[], object]) -> None:
        self._soon.append(callback)

    def turn(self) -> None:
        """Call back whoever asked for the next turn."""
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: object) -> None:
        assert delay > 0
        self.later.append(lambda: callback(*arguments))


class SocketTransport(asyncio.Transport):
    """As strict as uvloop: writing behind an end of file or into a closed transport raises."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.ended = False
        self.aborted = False
        self.closed = False
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        assert low is not None
        assert low < high

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.ended or self.aborted:
            raise RuntimeError("Cannot call write() after write_eof()")
        self.sent += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        for data in list_of_data:
            self.write(data)

    def write_eof(self) -> None:
        if self.aborted:
            raise RuntimeError("unable to perform operation; the handler is closed")
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.aborted

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True


class Socket:
    """A client's end of a socket: the library's client protocol writes and reads for it."""

    def __init__(self, server: MemoryServer, subprotocol: str = SUBPROTOCOL_BINARY) -> None:
        self._server = server
        self.transport = SocketTransport()
        self.websocket = WebSocketConnection(server.listener, cast(asyncio.AbstractEventLoop, server.loop))
        self.websocket.connection_made(self.transport)
        self.client = ClientProtocol(parse_uri("ws://gateway/"), subprotocols=[Subprotocol(subprotocol)], max_size=None)
        self.lost = False

    def bytes_to_send(self) -> bytes:
        """What the client protocol has to say."""
        return b"".join(self.client.data_to_send())

    def handshake(self) -> Socket:
        """Become a WebSocket."""
        self.client.send_request(self.client.connect())
        self.push(self.bytes_to_send())
        self.frames()
        assert self.client.handshake_exc is None
        return self

    def push(self, data: bytes) -> None:
        """Bytes arrive at the gateway, in pieces that its buffer takes."""
        at = 0
        while at < len(data):
            if not self.transport.reading:
                self._server.loop.turn()
                self._server.world.turn()
                assert self.transport.reading
            buffer = self.websocket.get_buffer(-1)
            piece = data[at : at + len(buffer)]
            buffer[: len(piece)] = piece
            self.websocket.buffer_updated(len(piece))
            at += len(piece)

    def frames(self) -> list[Frame]:
        """The WebSocket frames that the gateway has sent since."""
        sent, self.transport.sent = bytes(self.transport.sent), bytearray()
        self.client.receive_data(sent)
        return [event for event in self.client.events_received() if isinstance(event, Frame)]

    def messages(self) -> bytes:
        """The binary messages among them, joined."""
        return b"".join(bytes(frame.data) for frame in self.frames() if frame.opcode == 2)

    def vanish(self) -> None:
        """The connection is lost."""
        self.transport.aborted = True
        self.websocket.connection_lost(ConnectionResetError())
        self.lost = True


class MemoryServer:
    """A listener over a core in memory."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.loop = ManualLoop()
        self.listener = Listener(self.world.core)

    def socket(self, subprotocol: str = SUBPROTOCOL_BINARY) -> Socket:
        """An accepted WebSocket."""
        return Socket(self, subprotocol).handshake()


def masked(opcode: int, payload: Buffer, *, final: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A WebSocket frame from a client (RFC 6455, section 5.2)."""
    size = len(payload)
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + size.to_bytes(2, "big")
        if size < 65536
        else b"\xff" + size.to_bytes(8, "big")
    )
    body = bytes(byte ^ mask[index & 3] for index, byte in enumerate(bytes(payload)))
    return bytes([(0x80 if final else 0) | opcode]) + length + mask + body
