"""The WebSocket under a session: frames are read and written as the server does, all else is left to ``websockets``.

A socket knows TCP, TLS, the WebSocket handshake and its close codes, and must not know the content of messages.
Everything runs on the loop that opened the socket. :class:`~gateway.websocket.frame_reader.FrameReader` cuts binary
messages out of the bytes that are read, large ones where they stay; the library's Sans-I/O ``ClientProtocol``
gets the handshake, pings, closes, fragments, and what breaks the rules. Sent bytes are framed by
:mod:`gateway.websocket.masking`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, cast
from weakref import WeakValueDictionary

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import SEND_EOF, State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from gateway.client.forking import cut_off
from gateway.client.owner import tell_of_fork
from gateway.client.session.handshake_refusal import handshake_error
from gateway.client.session.tcp_progress import TcpSocket
from gateway.client.time_limit import TimeLimit
from gateway.errors import ConnectionFailed, UsageError
from gateway.protocol.wire import SUBPROTOCOL_BINARY, Buffer
from gateway.websocket.frame_reader import Foreign, FrameReader, Placement
from gateway.websocket.masking import masked_frame
from gateway.websocket.read_memory import ReadMemory
from gateway.websocket.spare_memory import SpareMemory

HIGH_WATER_BYTES: Final = 1024 * 1024
"""Unsent bytes at which writers are told to pause: the most that a small message has ahead of it in this process."""
LOW_WATER_BYTES: Final = 256 * 1024

ABNORMAL: Final = 1006
"""RFC 6455's code for a connection that ended without a close frame."""

_HEAD_END: Final = b"\r\n\r\n"

CLOSE_WITHIN_S: Final = 10.0
"""Time after a close frame within which the other side must end the connection."""


class _LoopMemory:
    """Memory of the sockets of one loop, which ends with the last of them. Threads may run a loop one after another."""

    __slots__ = ("__weakref__", "masked", "read")

    def __init__(self) -> None:
        self.read = ReadMemory()
        self.masked = SpareMemory()


_MEMORY: Final[WeakValueDictionary[asyncio.AbstractEventLoop, _LoopMemory]] = WeakValueDictionary()


class Lost(NamedTuple):
    """Reason for which a connection ended."""

    code: int
    """The peer's close code, or ours when we closed; 1006 without one."""
    reason: str
    retry_after_s: float | None = None
    """Seconds after which the gateway wants the client back; ``None``: it has not said."""
    address: str | None = None
    """URL of the gateway to which the client is to go; ``None``: none was named."""


class SocketEvents(Protocol):
    """Callbacks of a socket to its owner, on the loop; none of them waits for anything."""

    def message_received(self, message: memoryview) -> None:
        """Take a binary message, whose memory belongs to the receiver from now on."""

    def place(self, beginning: memoryview, size: int) -> Placement | None:
        """Return memory for the end of a large binary message; ``None``: :meth:`message_received` takes it.

        Args:
            beginning: what has come of it.
            size: bytes of the complete message.
        """

    def writing_paused(self) -> None:
        """Pause: more than the high water mark is unsent."""

    def writing_resumed(self) -> None:
        """Go on: less than the low water mark is unsent."""

    def socket_lost(self, lost: Lost) -> None:
        """Learn that the connection is gone. Called once, and only if the handshake succeeded."""


class Socket(asyncio.BufferedProtocol):
    """One WebSocket connection, made by :func:`~gateway.client.session.socket_opening.open_socket`.

    Attributes:
        write_paused: whether the high water mark was passed and the low one not reached again.
        received: whether anything arrived since this was last set to False; for the heartbeat.
    """

    def __init__(self, uri: WebSocketURI, events: SocketEvents, max_frame_bytes: int) -> None:
        self._protocol = ClientProtocol(uri, subprotocols=[Subprotocol(SUBPROTOCOL_BINARY)], max_size=max_frame_bytes)
        self._head: bytes | None = b""
        """End of what has come of the answer to the handshake; ``None`` when frames follow."""
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._memory: _LoopMemory | None = _MEMORY.setdefault(self._loop, _LoopMemory())
        self._masked = self._memory.masked
        self._reader = FrameReader(max_frame_bytes, self._memory.read, masked=False, place=events.place)
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

    @property
    def tcp(self) -> TcpSocket | None:
        """The socket under the connection, for its options only; ``None``: there is none."""
        return None if self._transport is None else self._transport.get_extra_info("socket")

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
        parts = masked_frame(buffers, size, self._masked)
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

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer that the loop reads into."""
        return self._reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Pass complete messages on."""
        self.received = True
        reader = self._reader
        if self._head is not None:
            nbytes = self._take_head(bytes(reader.buffer()[:nbytes]))
        if nbytes:
            self._take(reader.receive(nbytes))
            while reader.more:
                self._take(reader.go_on())

    def _take_head(self, data: bytes) -> int:
        """Leave the answer to the handshake to the library; return the number of bytes behind it, for the reader."""
        assert self._head is not None
        begun = self._head + data
        end = begun.find(_HEAD_END)
        head_bytes = end + len(_HEAD_END) - len(self._head) if end >= 0 else len(data)
        self._head = begun[1 - len(_HEAD_END) :]
        self._take_foreign(data[:head_bytes])
        if not self._handshake_done:
            self._take_foreign(data[head_bytes:])  # of a refusal, perhaps
            return 0
        self._head = None
        return self._reader.begin(data[head_bytes:])

    def _take(self, parts: Sequence[Buffer | Foreign]) -> None:
        protocol = self._protocol
        for part in parts:
            if isinstance(part, Foreign):
                self._take_foreign(part.data)
            elif protocol.close_rcvd is None and protocol.parser_exc is None:
                self._events.message_received(memoryview(part).toreadonly())

    def _take_foreign(self, data: Buffer) -> None:
        """Leave bytes to the library, and pass on what it makes of them."""
        if not data:
            return
        self._protocol.receive_data(cast(bytes, data))  # its annotation asks for bytes
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
        self._reader.end()
        self._memory, self._masked = None, SpareMemory()
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
            self._opened.set_exception(handshake_error(error))
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


def _lost_of(close: Close) -> Lost:
    return Lost(int(close.code), close.reason)
