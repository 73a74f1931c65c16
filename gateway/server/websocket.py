"""WebSocket connection: the Sans-I/O protocol of the ``websockets`` library, driven by an asyncio transport.

A connection has no task, queue or coroutine: bytes come in, the core is called, bytes go out (design, section 4).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import NamedTuple, Protocol, cast

from websockets.frames import Frame
from websockets.frames import Opcode as WebSocketOpcode
from websockets.http11 import Request
from websockets.protocol import State as WebSocketState
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.connections.sessions.session import Session
from gateway.protocol.wire import SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, Buffer
from gateway.server.frame_reader import Foreign, FrameReader

FULL_READS_A_TURN = 8
"""Number of reads that filled their buffer, after which other sockets get their turn."""

HIGH_WATER_BYTES = 1024 * 1024
LOW_WATER_BYTES = 256 * 1024
CLOSE_TIMEOUT_S = 5.0
"""Longest time in which a peer answers a close of ours, or reads the bytes that wait for it."""

_silent = logging.getLogger("gateway.server.websocket.wire")
_silent.setLevel(logging.CRITICAL)


class Receivers(NamedTuple):
    """Functions that take the messages of a connection, each called with its session and the message."""

    binary: Callable[[Session, Buffer], object]
    """Receiver of binary messages, which do not change afterwards."""
    text: Callable[[Session, bytes], object]
    """Receiver of text messages, as UTF-8 that may be invalid."""


def _discard(session: Session, message: Buffer) -> None:
    """Ignore a message."""


NO_RECEIVERS = Receivers(_discard, _discard)


class Endpoint(Protocol):
    """The gateway, as a WebSocket sees it."""

    max_frame_bytes: int
    read_buffer: memoryview
    """Buffer of :data:`~gateway.server.frame_reader.BUFFER_BYTES`; all connections of an event loop share it."""

    def accepted(self, websocket: WebSocketConnection) -> None:
        """Note an accepted socket; its handshake is to come."""

    def opened(self, websocket: WebSocketConnection, subprotocol: str) -> tuple[Session, Receivers]:
        """Return the session of a socket whose handshake is done, and the receivers of its messages."""

    def closed(self, websocket: WebSocketConnection, session: Session | None) -> None:
        """Forget a socket that is gone."""


class WebSocketConnection(asyncio.BufferedProtocol):
    """Accepted socket; also the :class:`~gateway.connections.ports.Transport` of its connection.

    Args:
        endpoint: the gateway.
        loop: the event loop of the socket.
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
        "_receivers",
        "_session",
        "_text",
        "_transport",
        "raw_write",
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
        self._receivers = NO_RECEIVERS
        """Receivers of the messages while both sides are open; none before and after."""
        self._offered_bytes = 0
        self._full_reads = 0
        self._reading_paused = False
        self._fragments: list[bytes] | None = None
        """Fragments of an incomplete message, which the library hands over one by one."""
        self._text = False
        """True if these fragments are of a text message."""
        self._transport: asyncio.Transport
        self.raw_write: Callable[[Buffer], object]
        """Write of the loop's transport, which raises ``RuntimeError`` if the socket is about to be lost."""

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take an accepted socket."""
        self._transport = cast(asyncio.Transport, transport)
        self.raw_write = self._transport.write
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self._endpoint.accepted(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer that the loop reads into."""
        buffer = self._reader.buffer()
        self._offered_bytes = len(buffer)
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes that the loop has read into the buffer."""
        if nbytes < self._offered_bytes:
            self._full_reads = 0
        else:
            self._full_reads += 1
            if self._full_reads == FULL_READS_A_TURN:
                self._end_turn()
        session = self._session
        if session is None:
            self._shake_hands(self._reader.buffer()[:nbytes])
            return
        # Any byte: a large message on a slow link takes longer than the heartbeat waits.
        session.heard = True
        for part in self._reader.receive(nbytes):
            if isinstance(part, Foreign):
                self._step_library(part.data)
            else:
                self._receivers.binary(session, part)

    def eof_received(self) -> None:
        """Note that the peer sends no more."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the socket, which is gone."""
        session, self._session = self._session, None
        self._fragments = None
        self._endpoint.closed(self, session)

    def pause_writing(self) -> None:
        """Tell the connection that more than :data:`HIGH_WATER_BYTES` wait to be sent."""
        if self._session is not None:
            self._session.connection.pause_writing()

    def resume_writing(self) -> None:
        """Tell the connection that less than :data:`LOW_WATER_BYTES` wait to be sent."""
        if self._session is not None:
            self._session.connection.resume_writing()

    # Called by the core: the Transport port.

    def write(self, data: Buffer) -> None:
        """Hand bytes to the socket; a socket that is about to be lost ignores them."""
        try:  # noqa: SIM105 - free where nothing is raised, which suppress() is not
            self._transport.write(data)
        except RuntimeError:
            # Raised by uvloop between the loss of a connection and the call of connection_lost.
            pass

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Hand several buffers to the socket, as :meth:`write` does with one."""
        try:  # noqa: SIM105
            self._transport.writelines(buffers)
        except RuntimeError:
            pass

    def ping(self) -> None:
        """Send a WebSocket ping, whose pong shows that the peer is alive."""
        if self._protocol.state is WebSocketState.OPEN:
            self._protocol.send_ping(b"")
            self._flush()

    def pause_reading(self) -> None:
        """Stop reading from the socket until :meth:`resume_reading`."""
        self._reading_paused = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the socket again."""
        self._reading_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """Send a close with this code, and ignore all further messages; abort when the peer does not close in time."""
        self._receivers = NO_RECEIVERS
        if self._protocol.state is WebSocketState.OPEN:
            self._protocol.send_close(code, reason)
            self._flush()
        self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)

    def waiting_bytes(self) -> int:
        """Return the bytes that are written and not yet taken by the operating system."""
        return self._transport.get_write_buffer_size()

    def peer_address(self) -> str:
        """Return the address of the peer, as ``host:port``; empty if the socket is closed already."""
        address = self._transport.get_extra_info("peername")
        if not isinstance(address, tuple):
            return ""
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def descriptor(self) -> int:
        """Return the number of the socket's file descriptor; -1 if there is none."""
        accepted = self._transport.get_extra_info("socket")
        return -1 if accepted is None else int(accepted.fileno())

    def refuse(self, status: HTTPStatus, text: str) -> None:
        """Answer a handshake that was not read yet with an error, and drop the socket at once."""
        self._protocol.send_response(self._protocol.reject(status, text))
        self._flush()
        self._transport.abort()

    # Turns of reading.

    def _end_turn(self) -> None:
        # Otherwise libuv reads up to 32 times, 8 MB, before it looks at another socket.
        self._full_reads = 0
        if not self._reading_paused:
            self._transport.pause_reading()
            self._loop.call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._transport.resume_reading()

    # The WebSocket protocol.

    def _shake_hands(self, data: memoryview) -> None:
        self._step_library(data)
        if self._session is not None and bytes(data[-4:]) != b"\r\n\r\n":
            # The client did not wait for the answer: the library has the beginning of its messages.
            self._reader.leave_to_library()

    def _step_library(self, data: memoryview) -> None:
        protocol = self._protocol
        # The annotation asks for bytes; the library does `bytearray += data`, which takes a view.
        protocol.receive_data(cast(bytes, data))
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._frame_received(event)
            elif isinstance(event, Request):
                self._request_received(event)
        if protocol.state is not WebSocketState.OPEN:
            # After a Close of the peer, or one that the library sends for a broken rule.
            self._receivers = NO_RECEIVERS
        # Last, because nothing can be answered after a Close.
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
            self._session, receivers = self._endpoint.opened(self, str(self._protocol.subprotocol))
            if not self._session.connection.closed:
                self._receivers = receivers

    def _frame_received(self, frame: Frame) -> None:
        session = self._session
        if session is None or session.connection.closed:
            return
        opcode = frame.opcode
        if opcode is WebSocketOpcode.BINARY and frame.fin:
            self._receivers.binary(session, cast(bytes, frame.data))
        elif opcode is WebSocketOpcode.TEXT and frame.fin:
            self._receivers.text(session, cast(bytes, frame.data))
        elif opcode is WebSocketOpcode.CONT:
            self._continue(session, frame)
        elif opcode is WebSocketOpcode.BINARY or opcode is WebSocketOpcode.TEXT:
            self._text = opcode is WebSocketOpcode.TEXT
            self._fragments = [cast(bytes, frame.data)]

    def _continue(self, session: Session, frame: Frame) -> None:
        fragments = self._fragments
        if fragments is None:
            return
        fragments.append(cast(bytes, frame.data))
        if frame.fin:
            self._fragments = None
            data = b"".join(fragments)
            if self._text:
                self._receivers.text(session, data)
            else:
                self._receivers.binary(session, data)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.write(data)
            elif not self._transport.is_closing():
                self._transport.write_eof()

    def abort(self) -> None:
        """Drop the socket at once, with everything that waits for its peer."""
        self._transport.abort()
