"""The WebSocket under a session: ``websockets``' Sans-I/O ``ClientProtocol`` driven by an ``asyncio.Protocol``.

A socket knows TCP, TLS, the WebSocket handshake and its close codes, and must not know the content of messages.
Everything runs on the loop that opened the socket. ``ClientProtocol`` parses all received bytes: it takes 2.5 us a
message and 14 GB/s (CPython 3.11, 2026). Sent bytes are framed by :mod:`gateway.client.session.masking`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror, getaddrinfo, inet_pton
from typing import Final, NamedTuple, Protocol, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import SEND_EOF, State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from gateway.client.forking import cut_off
from gateway.client.owner import tell_of_fork
from gateway.client.session.masking import masked_frame
from gateway.client.time_limit import TimeLimit
from gateway.client.workers import WORKERS
from gateway.errors import ConnectionFailed, InvalidArgument, UsageError
from gateway.protocol.wire import SUBPROTOCOL_BINARY, Buffer

HIGH_WATER_BYTES: Final = 1024 * 1024
"""Unsent bytes at which writers are told to pause: the most that a small message has ahead of it in this process."""
LOW_WATER_BYTES: Final = 256 * 1024

ABNORMAL: Final = 1006
"""RFC 6455's code for a connection that ended without a close frame."""

CLOSE_WITHIN_S: Final = 10.0
"""Time after a close frame within which the other side must end the connection."""


class Lost(NamedTuple):
    """Reason for which a connection ended."""

    code: int
    """The peer's close code, or ours when we closed; 1006 without one."""
    reason: str


class SocketEvents(Protocol):
    """Callbacks of a socket to its owner, on the loop; none of them waits for anything."""

    def message_received(self, message: memoryview) -> None:
        """Take a binary message, whose memory belongs to the receiver from now on."""

    def writing_paused(self) -> None:
        """Pause: more than the high water mark is unsent."""

    def writing_resumed(self) -> None:
        """Go on: less than the low water mark is unsent."""

    def socket_lost(self, lost: Lost) -> None:
        """Learn that the connection is gone. Called once, and only if the handshake succeeded."""


def parse_url(url: str) -> WebSocketURI:
    """Return the parts of the URL of a gateway.

    Raises:
        InvalidArgument: the URL is not ``ws://host[:port]`` or ``wss://host[:port]``.
    """
    try:
        return parse_uri(url)
    except (InvalidURI, ValueError) as error:
        raise InvalidArgument(f"{url!r} is not a gateway's URL such as ws://127.0.0.1:8765 ({error})") from None


class Socket(asyncio.Protocol):
    """One WebSocket connection, made by :func:`open_socket`.

    Attributes:
        write_paused: whether the high water mark was passed and the low one not reached again.
        received: whether anything arrived since this was last set to False; for the heartbeat.
    """

    def __init__(self, uri: WebSocketURI, events: SocketEvents, max_frame_bytes: int) -> None:
        self._protocol = ClientProtocol(uri, subprotocols=[Subprotocol(SUBPROTOCOL_BINARY)], max_size=max_frame_bytes)
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._fragments: list[bytes | bytearray | memoryview] = []
        self._lost: Lost | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._handshake_done = False
        self._thread = threading.get_ident()
        self.write_paused = False
        self.received = False
        tell_of_fork(self)

    async def opened(self) -> None:
        """Wait until the handshake is over.

        Raises:
            ConnectionFailed: the handshake failed.
        """
        await self._opened

    @property
    def open(self) -> bool:
        """Whether messages can be sent: the handshake is over and no side has closed yet."""
        return self._protocol.state is State.OPEN

    @property
    def unsent_bytes(self) -> int:
        """Bytes that were written and not handed to the operating system."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    # Called by the owner.

    def send(self, buffers: Sequence[Buffer], size: int) -> None:
        """Write one binary message; drop it if the connection is closing or lost.

        Args:
            buffers: flat views of bytes; may be reused when this method returns.
            size: bytes of all buffers together.
        """
        if self._protocol.state is not State.OPEN or self._transport is None:
            return
        # asyncio logs each write to a socket whose loss it has noticed and not yet told.
        if self._transport.is_closing():
            return
        parts = masked_frame(buffers, size)
        if len(parts) == 1:
            self._transport.write(parts[0])
        else:
            self._transport.writelines(parts)

    def pause_reading(self) -> None:
        """Leave incoming bytes to the operating system. May be called twice."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take incoming bytes again. May be called twice."""
        if self._transport is not None and not self._transport.is_closing() and not self._transport.is_reading():
            self._transport.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """Send the bytes that wait, then a close frame. The peer ends the connection, or :meth:`wait_closed` does."""
        if self._protocol.state is State.OPEN:
            self._lost = Lost(code, reason)
            # A close frame has room for 123 bytes of reason (RFC 6455 section 5.5).
            self._protocol.send_close(code, reason.encode()[:120].decode(errors="ignore"))
            self._flush()
        elif self._transport is not None and not self._handshake_done:
            self._transport.abort()

    async def wait_closed(self, timeout_s: float) -> int:
        """Wait until the connection is gone; cut it off after ``timeout_s``.

        Returns:
            The bytes that were cut off: written, and not handed to the operating system.
        """
        self.resume_reading()  # the other side's close frame comes after the bytes that were not read yet
        cut_bytes = 0
        try:
            with TimeLimit(timeout_s):
                await asyncio.shield(self._gone)
        except TimeoutError:
            cut_bytes = self.unsent_bytes
            self.abort(Lost(ABNORMAL, "the other side did not answer the close"))
            await asyncio.shield(self._gone)
        return cut_bytes

    def abort(self, lost: Lost) -> None:
        """End the connection at once; unsent bytes are dropped.

        Args:
            lost: reason for the owner, unless an earlier one is known.
        """
        if self._lost is None:
            self._lost = lost
        if self._transport is not None:
            self._transport.abort()

    def fork(self, error: UsageError) -> None:
        """Leave the connection to the parent: nothing that this forked process has or does reaches it any more."""
        self._protocol.state = State.CLOSED
        transport, self._transport = self._transport, None
        if transport is None or self._gone.done():
            return
        if (descriptor := transport.get_extra_info("socket").fileno()) >= 0:
            cut_off(descriptor)
        if self._thread == threading.get_ident() and not self._loop.is_closed():
            self._loop.call_soon(transport.abort)

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the WebSocket handshake: the TCP (and TLS) connection is made."""
        # uvloop's transports have the methods of asyncio.Transport but do not inherit from it.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES, low=LOW_WATER_BYTES)
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Pass complete messages on."""
        self.received = True
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if type(event) is Frame:
                self._frame_received(event)
            elif isinstance(event, Response):
                self._handshake_answered(event)
        if self._protocol.writes:
            self._flush()
        if self._protocol.handshake_exc is not None:
            self._refused(self._protocol.handshake_exc)

    def eof_received(self) -> None:
        """Note that the peer sends no more; the transport closes by itself."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner that the TCP connection is gone, and why."""
        self._protocol.receive_eof()
        if self._deadline is not None:
            self._deadline.cancel()
        if not self._gone.done():
            self._gone.set_result(None)
        if not self._handshake_done:
            self._refused(self._protocol.handshake_exc or exc)
            return
        received = self._protocol.close_rcvd
        if received is not None and not (self._lost and self._protocol.close_rcvd_then_sent is False):
            lost = _lost_of(received)
        elif self._lost is not None:
            lost = self._lost
        elif self._protocol.close_sent is not None:  # the parser failed: the other side broke RFC 6455
            lost = _lost_of(self._protocol.close_sent)
        else:
            lost = Lost(ABNORMAL, f"connection lost: {exc}" if exc else "the other side closed the connection")
        self._events.socket_lost(lost)

    def pause_writing(self) -> None:
        """Tell the owner to pause (:meth:`SocketEvents.writing_paused`)."""
        self.write_paused = True
        if self._handshake_done:
            self._events.writing_paused()

    def resume_writing(self) -> None:
        """Tell the owner to go on (:meth:`SocketEvents.writing_resumed`)."""
        self.write_paused = False
        if self._handshake_done:
            self._events.writing_resumed()

    def _frame_received(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY and frame.fin:
            self._events.message_received(memoryview(frame.data).toreadonly())
        elif frame.opcode in (Opcode.BINARY, Opcode.CONT):
            # Fragments are joined, which copies; no gateway sends any, but RFC 6455 allows them to proxies.
            self._fragments.append(frame.data)
            if frame.fin:
                message, self._fragments = b"".join(self._fragments), []
                self._events.message_received(memoryview(message))
        elif frame.opcode is Opcode.TEXT:
            self.close(1003, "text message on a binary subprotocol")

    def _handshake_answered(self, response: Response) -> None:
        if self._protocol.handshake_exc is not None:
            return
        if self._protocol.subprotocol != SUBPROTOCOL_BINARY:
            problem = f"the server speaks WebSocket, but not {SUBPROTOCOL_BINARY}: is it a Frys Gateway?"
            self._refused(ConnectionFailed(problem))
            return
        self._handshake_done = True
        if not self._opened.done():
            self._opened.set_result(None)

    def _refused(self, error: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(_handshake_error(error))
            self._opened.exception()  # connecting may have been cancelled; then asyncio is not to log it
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is None:
            return
        for data in self._protocol.data_to_send():
            if data is SEND_EOF or not data:
                if self._transport.can_write_eof():
                    self._transport.write_eof()
                else:  # TLS has no half-close
                    self._transport.close()
            elif not self._transport.is_closing():
                self._transport.write(data)
        if self._protocol.state is State.CLOSING and self._deadline is None:
            self._deadline = self._loop.call_later(CLOSE_WITHIN_S, self._transport.abort)


async def open_socket(
    uri: WebSocketURI, events: SocketEvents, *, max_frame_bytes: int, tls: ssl.SSLContext | None
) -> Socket:
    """Connect, do the WebSocket handshake, and return the socket. Cancel the call to give up.

    Args:
        uri: address of the gateway.
        events: called from the moment the handshake is done.
        max_frame_bytes: bound on a message; a longer one closes the connection with 1009.
        tls: context for ``wss``; ``None``: the system's certificates.

    Raises:
        ConnectionFailed: no server listens, or the server is no gateway; the message gives advice.
    """
    socket: Socket | None = None
    try:
        context = (tls or ssl.create_default_context()) if uri.secure else None
        socket = await _connected(uri, context, lambda: Socket(uri, events, max_frame_bytes))
        await socket.opened()
    except (OSError, UnicodeError) as error:  # a host's name that no name server could be asked for is a UnicodeError
        raise error if isinstance(error, ConnectionFailed) else ConnectionFailed(_advice(error, uri.secure)) from error
    except BaseException:
        if socket is not None:
            socket.abort(Lost(ABNORMAL, "gave up"))
        raise
    return socket


async def _connected(uri: WebSocketURI, context: ssl.SSLContext | None, make: Callable[[], Socket]) -> Socket:
    """Connect to the first address of the host that answers."""
    loop = asyncio.get_running_loop()
    errors: list[OSError] = []
    for address in await _addresses_of(uri.host, uri.port):
        try:
            _, socket = await loop.create_connection(
                make, address, uri.port, ssl=context, server_hostname=uri.host if context else None
            )
        except OSError as error:
            errors.append(error)
        else:
            return socket
    if len(errors) == 1:
        raise errors[0]
    raise OSError("; ".join(map(str, errors)))


async def _addresses_of(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order in which they are tried."""
    for family in (AF_INET, AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            inet_pton(family, host)
            return [host]
    # Not `loop.getaddrinfo`: asyncio's threads take no work once the main thread has ended.
    found = await WORKERS.run(getaddrinfo, host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _advice(error: OSError | UnicodeError, secure: bool) -> str:
    """Return the meaning of a failed attempt to connect, and advice what to check."""
    if isinstance(error, UnicodeError):
        return f"the host's name cannot be resolved ({error})"
    text = error.strerror or str(error) or "the connection ended"
    # A name with several addresses gives one OSError that quotes the error of each.
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return "connection refused: is the gateway running there (frys serve), and are host and port right?"
    if isinstance(error, gaierror):
        return f"the host's name cannot be resolved ({text})"
    if secure:
        return f"TLS failed ({text}): does the gateway serve wss there, and is its certificate trusted here?"
    return f"{text}: are host and port right, and is the way there open?"


def _handshake_error(error: Exception | None) -> ConnectionFailed:
    if isinstance(error, ConnectionFailed):
        return error
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        advice = "are port and path right?" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "try again later"
        return ConnectionFailed(f"the server answered HTTP {status} instead of a WebSocket: {advice}")
    if error is None:
        return ConnectionFailed("the server closed the connection during the handshake: is it a gateway?")
    failure = ConnectionFailed(f"the WebSocket handshake failed ({error}): is it a gateway?")
    failure.__cause__ = error
    return failure


def _lost_of(close: Close) -> Lost:
    return Lost(int(close.code), close.reason)
