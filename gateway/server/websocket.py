"""One WebSocket: `websockets`' Sans-I/O protocol driven by an asyncio transport.

No task, no queue and no coroutine a connection: bytes in, a call into the core, bytes out (design, section 4).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Protocol, cast

from websockets.frames import Frame
from websockets.frames import Opcode as WebSocketOpcode
from websockets.http11 import Request
from websockets.protocol import State as WebSocketState
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.connections.sessions.session import Session
from gateway.protocol.wire import ALIGNMENT, FRAME_START, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, Buffer, padded
from gateway.server.frame_reader import Binary, Foreign, FrameReader

JOIN_BYTES = 16 * 1024
"""Binary messages up to this size are handed on together when one read brings several."""

FULL_READS_A_TURN = 8
"""After so many reads that brought all there was room for, others get their turn."""

HIGH_WATER_BYTES = 1024 * 1024
LOW_WATER_BYTES = 256 * 1024
CLOSE_TIMEOUT_S = 5.0
"""How long a peer may take to answer our close, or to read what is waiting for it."""

_silent = logging.getLogger("gateway.server.websocket.wire")
_silent.setLevel(logging.CRITICAL)


class Endpoint(Protocol):
    """What a WebSocket needs of the gateway."""

    max_frame_bytes: int
    read_buffer: memoryview
    """Of :data:`~gateway.server.frame_reader.BUFFER_BYTES`; all of an event loop's connections share one."""

    def accepted(self, websocket: WebSocketConnection) -> None:
        """A socket was accepted; the handshake is to come."""

    def opened(self, websocket: WebSocketConnection, subprotocol: str) -> Session:
        """The handshake is done."""

    def received(self, session: Session, data: Buffer) -> None:
        """A binary message."""

    def received_text(self, session: Session, data: bytes) -> None:
        """A text message, as UTF-8 that may be invalid."""

    def closed(self, websocket: WebSocketConnection, session: Session | None) -> None:
        """The connection is gone."""


class WebSocketConnection(asyncio.BufferedProtocol):
    """An accepted socket; also the :class:`~gateway.connections.ports.Transport` of its connection.

    Args:
        endpoint: the gateway.
    """

    __slots__ = (
        "_endpoint",
        "_fragments",
        "_full_reads",
        "_loop",
        "_offered_bytes",
        "_protocol",
        "_reader",
        "_reading_paused",
        "_session",
        "_text",
        "_transport",
    )

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint = endpoint
        self._loop = loop
        self._protocol = ServerProtocol(
            subprotocols=[Subprotocol(SUBPROTOCOL_BINARY), Subprotocol(SUBPROTOCOL_JSON)],
            max_size=endpoint.max_frame_bytes,
            logger=_silent,
        )
        self._reader = FrameReader(endpoint.max_frame_bytes, endpoint.read_buffer)
        self._session: Session | None = None
        self._offered_bytes = 0
        self._full_reads = 0
        self._reading_paused = False
        self._fragments: list[bytes] | None = None
        self._text = False
        self._transport: asyncio.Transport

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket was accepted."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self._endpoint.accepted(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the loop reads to."""
        buffer = self._reader.buffer()
        self._offered_bytes = len(buffer)
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        if nbytes < self._offered_bytes:
            self._full_reads = 0
        else:
            self._full_reads += 1
            if self._full_reads == FULL_READS_A_TURN:
                self._end_turn()
        if self._session is None:
            self._shake_hands(self._reader.buffer()[:nbytes])
            return
        found = self._reader.receive(nbytes)
        for part in found if len(found) < 2 else _joined(found):
            if isinstance(part, Foreign):
                self._step_library(part.data)
            elif self._protocol.state is WebSocketState.OPEN and not self._session.connection.closed:
                self._endpoint.received(self._session, part.data)

    def eof_received(self) -> None:
        """The peer will send no more."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        session, self._session = self._session, None
        self._fragments = None
        self._endpoint.closed(self, session)

    def pause_writing(self) -> None:
        """More than high water waits to be sent."""
        if self._session is not None:
            self._session.connection.pause_writing()

    def resume_writing(self) -> None:
        """Less than low water waits."""
        if self._session is not None:
            self._session.connection.resume_writing()

    # The core's side: the Transport port.

    def write(self, data: Buffer) -> None:
        """See the port."""
        try:  # noqa: SIM105 - free where nothing is raised, which suppress() is not
            self._transport.write(data)
        except RuntimeError:
            # uvloop raises it between the loss of a connection and the call of connection_lost.
            pass

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """See the port."""
        try:  # noqa: SIM105
            self._transport.writelines(buffers)
        except RuntimeError:
            pass

    def ping(self) -> None:
        """See the port."""
        if self._protocol.state is WebSocketState.OPEN:
            self._protocol.send_ping(b"")
            self._flush()

    def pause_reading(self) -> None:
        """See the port."""
        self._reading_paused = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See the port."""
        self._reading_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """See the port."""
        if self._protocol.state is WebSocketState.OPEN:
            self._protocol.send_close(code, reason)
            self._flush()
        self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)

    def waiting_bytes(self) -> int:
        """See the port."""
        return self._transport.get_write_buffer_size()

    # What the WebSocket protocol says.

    def _end_turn(self) -> None:
        # libuv reads up to 32 times before it looks at another socket: 8 MB, and as long as that takes.
        self._full_reads = 0
        if not self._reading_paused:
            self._transport.pause_reading()
            self._loop.call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def _shake_hands(self, data: memoryview) -> None:
        self._step_library(data)
        if self._session is not None and bytes(data[-4:]) != b"\r\n\r\n":
            # A client that does not wait for the answer: the library has the beginning of what follows.
            self._reader.leave_to_library()

    def _step_library(self, data: memoryview) -> None:
        protocol = self._protocol
        # The annotation asks for bytes; what the library does is `bytearray += data`, which takes a view.
        protocol.receive_data(cast(bytes, data))
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._frame_received(event)
            elif isinstance(event, Request):
                self._request_received(event)
        # Last, because nothing can be answered behind a Close.
        self._flush()
        if protocol.close_expected():
            self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)

    def _request_received(self, request: Request) -> None:
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        self._flush()
        # The library's parser keeps the request for as long as the connection lives: 2 KB of headers.
        request.headers.clear()
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._session = self._endpoint.opened(self, str(self._protocol.subprotocol))

    def _frame_received(self, frame: Frame) -> None:
        session = self._session
        if session is None or session.connection.closed:
            return
        opcode = frame.opcode
        if opcode is WebSocketOpcode.BINARY and frame.fin:
            self._endpoint.received(session, cast(bytes, frame.data))
        elif opcode is WebSocketOpcode.TEXT and frame.fin:
            self._endpoint.received_text(session, cast(bytes, frame.data))
        elif opcode is WebSocketOpcode.CONT:
            self._continue(session, frame)
        elif opcode is WebSocketOpcode.BINARY or opcode is WebSocketOpcode.TEXT:
            self._text = opcode is WebSocketOpcode.TEXT
            self._fragments = [cast(bytes, frame.data)]
        elif opcode is not WebSocketOpcode.CLOSE:
            session.connection.heard = True

    def _continue(self, session: Session, frame: Frame) -> None:
        fragments = self._fragments
        if fragments is None:
            return
        fragments.append(cast(bytes, frame.data))
        if frame.fin:
            self._fragments = None
            data = b"".join(fragments)
            if self._text:
                self._endpoint.received_text(session, data)
            else:
                self._endpoint.received(session, data)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.write(data)
            elif not self._transport.is_closing():
                self._transport.write_eof()

    def abort(self) -> None:
        """Wait no longer for a peer that neither reads nor answers."""
        self._transport.abort()


def _joined(parts: list[Binary | Foreign]) -> list[Binary | Foreign]:
    """The same, with small binary messages of one frame that follow each other made one.

    Frames delimit themselves (spec section 2), so it means the same unless one lies about its length, and a publisher
    that sends each message in a WebSocket message of its own costs little more than one that packs them (160 k/s
    without it, 270 k/s with it).
    """
    joined: list[Binary | Foreign] = []
    small: list[Buffer] = []
    for part in parts:
        size = len(part.data)
        if isinstance(part, Binary) and ALIGNMENT <= size <= JOIN_BYTES and _is_one_frame(part.data, size):
            small.append(part.data)
            continue
        if small:
            joined.append(Binary(b"".join(small)))
            small = []
        joined.append(part)
    if small:
        joined.append(Binary(b"".join(small)))
    return joined


def _is_one_frame(data: Buffer, size: int) -> bool:
    frame_bytes: int = FRAME_START.unpack_from(data)[0]
    return frame_bytes >= FRAME_START.size and padded(frame_bytes) == size
