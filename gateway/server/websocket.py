"""WebSocket connection: the Sans-I/O protocol of the ``websockets`` library, driven by an asyncio transport.

A connection has no task, queue or coroutine: bytes come in, the core is called, bytes go out (design, section 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from websockets.http11 import Request
from websockets.protocol import State as WebSocketState

from gateway.connections.sessions.session import Session
from gateway.connections.socket_counts import SocketCounts
from gateway.protocol.wire import Buffer
from gateway.server.endpoint import Endpoint
from gateway.server.library import Library, WebSocketMessage, WebSocketPong
from gateway.server.peer_address import peer_address_of
from gateway.server.receivers import NO_RECEIVERS
from gateway.server.request_head import RequestHead
from gateway.server.write_limits import FIRST, DrainMeter, socket_counts_of
from gateway.websocket.frame_reader import Foreign, FrameReader
from gateway.websocket.headers import ping_header
from gateway.websocket.short_pong import short_pong

FULL_READS_A_TURN = 8
"""Number of reads that filled their buffer, after which other sockets get their turn."""

CLOSE_TIMEOUT_S = 5.0
"""Longest time in which a peer answers a close of ours, or reads the bytes that wait for it."""


class WebSocketConnection(asyncio.BufferedProtocol):
    """Accepted socket; also the :class:`~gateway.connections.ports.Transport` of its connection.

    Args:
        endpoint: the gateway.
        loop: the event loop of the socket.
    """

    __slots__ = (
        "_drain_meter",
        "_endpoint",
        "_full_reads",
        "_head",
        "_is_ending",
        "_loop",
        "_offered_bytes",
        "_protocol",
        "_reader",
        "_reading_paused",
        "_receivers",
        "_session",
        "_transport",
        "raw_write",
    )

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint = endpoint
        self._loop = loop
        self._protocol: Library | None = Library(endpoint.max_frame_bytes)
        """End of the library; ``None`` while both sides are open, and nothing has come that the library has to see."""
        self._reader = FrameReader(endpoint.max_frame_bytes, endpoint.read_memory, masked=True)
        self._session: Session | None = None
        self._receivers = NO_RECEIVERS
        """Receivers of the messages while both sides are open; none before and after."""
        self._offered_bytes = 0
        self._full_reads = 0
        self._reading_paused = False
        self._drain_meter: DrainMeter | None = None
        """Made when writing is paused for the first time."""
        self._is_ending = False
        """Whether the socket is aborted soon, as a Close was sent or received."""
        self._head: RequestHead | None = RequestHead()
        """Head of the handshake; ``None`` when it is complete."""
        self._transport: asyncio.Transport
        self.raw_write: Callable[[Buffer], object]
        """Write of the loop's transport, which raises ``RuntimeError`` if the socket is about to be lost."""

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take an accepted socket."""
        self._transport = cast(asyncio.Transport, transport)
        self.raw_write = self._transport.write
        self._transport.set_write_buffer_limits(FIRST.high_bytes, FIRST.low_bytes)
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
        session.heard = True
        reader = self._reader
        for part in reader.receive(nbytes):
            if isinstance(part, Foreign):
                self._take_foreign(session, part)
            else:
                self._receivers.binary(session, part)
        if reader.more:
            self._take_more(session)

    def eof_received(self) -> bool:
        """Note that the peer sends no more; return True: the loop is not to close the socket itself."""
        self._endpoint.ended(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the socket, which is gone."""
        session = self._session
        if session is None or session.pending is None or session.connection.closed:
            self._session = None
            self._end_library()
        else:
            session.pending.add(self._end_library, 0)
        self._endpoint.closed(self, session)

    def pause_writing(self) -> None:
        """Tell the connection that more than high water waits to be sent."""
        self._drain_meter = self._drain_meter or DrainMeter(self._transport)
        self._drain_meter.pause()
        if self._session is not None:
            self._session.connection.pause_writing()

    def resume_writing(self) -> None:
        """Tell the connection that less than low water waits to be sent, and set both by the rate of the peer."""
        assert self._drain_meter is not None
        limits = self._drain_meter.resume()
        if self._session is not None:
            self._session.connection.resume_writing()
        self._drain_meter.set(limits)  # last: it may pause writing again

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

    def ping(self, payload: bytes) -> None:
        """Send a WebSocket ping, whose pong shows that the peer is alive."""
        if self._protocol is None or self._protocol.state is WebSocketState.OPEN:
            self.write(ping_header(len(payload)) + payload)

    def pause_reading(self) -> None:
        """Stop reading from the socket until :meth:`resume_reading`."""
        self._reading_paused = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the socket again."""
        self._reading_paused = False
        self._begin_turn()

    def close(self, code: int, reason: str) -> None:
        """Send a close with this code, and ignore all further messages; abort when the peer does not close in time."""
        self._receivers = NO_RECEIVERS
        if self._session is None and self._protocol is None:
            return  # the socket is lost
        protocol = self._library
        if protocol.state is WebSocketState.OPEN:
            protocol.send_close(code, reason)
            self._flush(protocol)
        if self._reader.more:
            # The backlog is dropped, and the peer's Close may be among the bytes that are not cut yet.
            self._endpoint.slices.add(self._go_on)
        self._abort_later()

    def waiting_bytes(self) -> int:
        """Return the bytes that are written and not yet taken by the operating system."""
        return self._transport.get_write_buffer_size()

    def socket_counts(self) -> SocketCounts:
        """Return the counts of the socket."""
        return socket_counts_of(self._transport, self._drain_meter)

    def peer_address(self) -> str:
        """Return the address of the peer, as ``host:port``; empty if the socket is closed already."""
        return peer_address_of(self._transport)

    def descriptor(self) -> int:
        """Return the number of the socket's file descriptor; -1 if there is none."""
        accepted = self._transport.get_extra_info("socket")
        return -1 if accepted is None else int(accepted.fileno())

    def refuse(self, answer: bytes) -> None:
        """Close the socket behind an HTTP answer, which stands in the place of a handshake."""
        self._head = None
        self.write(answer)
        self._transport.close()

    # Turns of reading.

    def _end_turn(self) -> None:
        # Otherwise libuv reads up to 32 times, 8 MB, before it looks at another socket.
        self._full_reads = 0
        if not self._reading_paused:
            self._transport.pause_reading()
            self._loop.call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        if not self._reading_paused and not self._transport.is_closing() and not self._reader.more:
            self._transport.resume_reading()

    def _take_more(self, session: Session) -> None:
        """Take what was read and is not cut yet: in this turn as far as its time allows, the rest in later ones."""
        reader, budget = self._reader, self._endpoint.input_budget
        while reader.more:
            backlog = session.pending
            if (backlog is not None and backlog.blocks) or session.connection.reading.held or budget.spent():
                self._defer(session)
                return
            self._take(session, reader.go_on())

    def _take(self, session: Session, parts: list[Buffer | Foreign]) -> None:
        for part in parts:
            if isinstance(part, Foreign):
                self._take_foreign(session, part)
            else:
                self._receivers.binary(session, part)

    def _take_foreign(self, session: Session, part: Foreign) -> None:
        """Hand bytes to the library, behind everything that came before them."""
        backlog = session.pending
        if backlog is not None and backlog.blocks:
            # A copy: the buffer is read into again before their turn.
            backlog.add(partial(self._step_library, memoryview(bytes(part.data))), len(part.data))
        elif (payload := short_pong(part)) is not None:
            self._endpoint.ponged(session, payload)
        else:
            self._step_library(part.data)

    def _defer(self, session: Session) -> None:
        """Leave to later turns what is not cut yet."""
        kept_bytes = self._reader.keep()
        if not session.connection.closed:
            session.backlog.add(self._go_on, kept_bytes)
            return
        if not self._reading_paused:
            self._transport.pause_reading()
        self._endpoint.slices.add(self._go_on)

    def _go_on(self) -> bool:
        """Take a step of what was left; return whether there is more."""
        reader, session = self._reader, self._session
        if session is None:
            return False
        if reader.more:
            self._take(session, reader.go_on())
        if reader.more:
            return True
        if session.connection.closed and not self._reading_paused and not self._transport.is_closing():
            self._transport.resume_reading()
        return False

    # The WebSocket protocol.

    def _shake_hands(self, data: memoryview) -> None:
        if not self._endpoint.input_budget.spent():
            self._take_head(data)
            return
        # Thousands of clients may come in one turn, and others have messages to send.
        self.pause_reading()
        self._endpoint.waits(self)
        self._endpoint.slices.add(partial(self._shake_hands_later, bytes(data)))

    def _shake_hands_later(self, data: bytes) -> bool:
        self._endpoint.goes_on(self)
        if not self._transport.is_closing():
            self.resume_reading()  # first: what stands behind the head may hold the reading again
            self._take_head(memoryview(data))
        return False

    def _take_head(self, data: memoryview) -> None:
        head = self._head
        if head is None:
            return  # the answer was no; bytes that come before the peer notices are discarded
        taken = head.take(bytes(data))
        if head.complete or head.too_large:
            answer = self._endpoint.door.refusal(self, head, self.peer_address())
            self._head = None
            if answer is not None:
                return self.refuse(answer)
        self._step_library(data[:taken])
        session, rest = self._session, bytes(data[taken:])
        if session is not None:
            session.claimed = head.client_type
            if rest:
                # The client did not wait for the answer: these are its first messages.
                self.buffer_updated(self._reader.begin(rest))

    @property
    def _library(self) -> Library:
        """End of the library, which is made if there is none."""
        if self._protocol is None:
            assert self._session is not None, "a library is let go once there is a session"
            self._protocol = Library(self._endpoint.max_frame_bytes, self._session.connection.format.name)
        return self._protocol

    def _end_library(self) -> bool:
        """Let go of the library; return False, because no step is left."""
        if self._protocol is not None:
            self._protocol.end()
        return False

    def _step_library(self, data: memoryview) -> bool:
        """Hand bytes to the library, and do what they bring about; return False, because no step is left."""
        protocol = self._library
        for complete in protocol.take(data):
            if isinstance(complete, Request):
                self._request_received(protocol, complete)
            else:
                self._message_received(complete)
        if protocol.state is not WebSocketState.OPEN:
            # After a Close of the peer, or one that the library sends for a broken rule.
            self._receivers = NO_RECEIVERS
        # Last, because nothing can be answered after a Close.
        session = self._session
        if session is None or session.connection.closed or protocol.state is not WebSocketState.OPEN:
            self._flush(protocol)
        elif pongs := b"".join(protocol.data_to_send()):
            # As an answer: a peer that does not read them is not read either.
            session.connection.send_urgent(pongs)
        if protocol.close_expected():
            self._abort_later()
        return False

    def _abort_later(self) -> None:
        if not self._is_ending:
            # Once: a peer may send for as long as it is not read to its Close.
            self._is_ending = True
            self._loop.call_later(CLOSE_TIMEOUT_S, self.abort)

    def _request_received(self, protocol: Library, request: Request) -> None:
        protocol.send_response(protocol.accept(request))
        self._flush(protocol)
        if protocol.state is not WebSocketState.OPEN:
            # The library's parser keeps the request for as long as the socket lives: 2 KB of headers.
            request.headers.clear()
            return
        self._session, receivers = self._endpoint.opened(self, str(protocol.subprotocol))
        if not self._session.connection.closed:
            self._receivers, self._session.bearer = receivers, protocol.bearer
            # 2 KB of each idle connection, which needs no library until its end.
            protocol.end()
            self._protocol = None

    def _message_received(self, message: WebSocketMessage | WebSocketPong) -> None:
        session = self._session
        if session is None or session.connection.closed:
            return
        if isinstance(message, WebSocketPong):
            self._endpoint.ponged(session, message.payload)
        elif message.text:
            self._receivers.text(session, message.data)
        else:
            self._receivers.binary(session, message.data)

    def _flush(self, protocol: Library) -> None:
        for data in protocol.data_to_send():
            if data:
                self.write(data)
            elif not self._transport.is_closing():
                self._transport.write_eof()

    def end(self) -> None:
        """Close the socket behind what waits for its peer, which sends no more."""
        self._transport.close()

    def abort(self) -> None:
        """Drop the socket at once, with everything that waits for its peer."""
        self._transport.abort()
