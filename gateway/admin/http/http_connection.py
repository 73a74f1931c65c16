"""HTTP connection of the admin port: uvicorn's, with bounds on the effect of a client on others.

uvicorn itself waits for the end of a request's head, and for a client to read its answer, for as long as the client
likes, and handles in one turn of the loop all that has come.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import h11
from h11._readers import ChunkedReader
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from gateway.admin.http.failures import ProblemResponse
from gateway.admin.http.hosts import KnownHosts
from gateway.admin.http.slots import ConnectionSlots, Phase
from gateway.admin.http.upgrade import TakeSocket, asks_for_websocket, header_of
from gateway.connections.slices import Slices

logger = logging.getLogger(__name__)

EVENTS_PER_STEP: Final = 8
"""Parts of a request that are handled at once: a client may send chunks of one byte, and each costs some 10 µs."""

MAX_HEAD_BYTES: Final = 8 * 1024
"""Longest head of a request, and longest trailers of its body. They are parsed at once."""
MAX_HEADERS: Final = 128
"""Most headers of a request, and most trailers: the library takes 2 µs for each."""
MAX_CHUNK_LINE_BYTES: Final = 256
"""Longest line of a chunk, its extensions included: the library takes a time that grows with the square of it."""

_HEAD_END: Final = re.compile(rb"\n\r?\n")
"""End of a head, of the two forms that the library takes."""
_NO_TEXT: Final = re.compile(rb"[\x00\x0b\x0c]|\r[^\n]")
"""Bytes that no header may have. The library finds them in a time that grows with the square of the blanks before."""
_LAST_CHUNK: Final = re.compile(rb"0+[ \t]*(?:;|\Z)")
"""Beginning of the line of the last chunk of a body, behind which trailers may come (RFC 9112, section 7.1)."""

_NOBODY: Final = asyncio.Protocol()
"""Protocol between the connection and the one that takes its socket over: uvloop keeps the last one that it hands bytes
to, also once it reads into the buffers of another one, and a connection has some kilobytes."""

LOG_INTERVAL_S: Final = 60.0
"""Shortest time between two log lines about connections that were closed to make room."""


class RequestParser(h11.Connection):
    """Parser of requests that hands out a limited number of events.

    Attributes:
        allowance: events to hand out; after that the parser asks for more data, whatever it has.
        is_paused: whether a further request waits until the one before it is answered.
        is_head_too_long: whether the head of a request was refused, because it exceeds :data:`MAX_HEAD_BYTES` or
            :data:`MAX_HEADERS`.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self.allowance = 0
        self.is_paused = False
        self.is_head_too_long = False

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event of the client.

        Raises:
            h11.RemoteProtocolError: the bytes are no request, or one of ambiguous length: a proxy may have passed it on
                with another one (RFC 9112, section 6.3).
        """
        if not self.allowance:
            return h11.NEED_DATA
        self.allowance -= 1
        is_between = self.their_state is h11.IDLE
        try:
            if is_between:
                # The library bounds heads that are not complete yet, not those that come in one read.
                _check_fields(self.trailing_data[0], MAX_HEADERS)
            elif self.their_state is h11.SEND_BODY and isinstance(self._reader, ChunkedReader):
                self._check_chunk(self._reader)
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            is_too_long = error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.is_head_too_long = is_between and is_too_long
            # h11 keeps the error in a frame of its traceback: together they would wait for the collector.
            raise error.with_traceback(None) from None
        self.is_paused = event is h11.PAUSED
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if {b"transfer-encoding", b"content-length"} <= names:
                raise h11.RemoteProtocolError("a request has either Transfer-Encoding or Content-Length")
        return event

    def _check_chunk(self, reader: ChunkedReader) -> None:
        """Refuse the line of a chunk, or trailers, that would take long to parse.

        Args:
            reader: the library's; nothing public tells where in a body it is.
        """
        if reader._bytes_in_chunk:
            return  # without a look at what was read, which is copied
        data = self.trailing_data[0]
        if reader._reading_trailer:
            _check_trailers(data)
            return
        begin = len(reader._bytes_to_discard)
        end = data.find(b"\r\n", begin, begin + MAX_CHUNK_LINE_BYTES)
        if end >= 0 and _LAST_CHUNK.match(data[begin:end]):
            _check_trailers(data[end + 2 :])
        elif end < 0 and len(data) > begin + MAX_CHUNK_LINE_BYTES:
            raise h11.RemoteProtocolError(f"the line of a chunk exceeds {MAX_CHUNK_LINE_BYTES} bytes")


def _check_trailers(data: bytes) -> None:
    if not data.startswith((b"\r\n", b"\n")):
        _check_fields(data, MAX_HEADERS - 1)


def _check_fields(data: bytes, max_line_ends: int) -> None:
    """Refuse a head, or trailers, that would take long to parse; the line end before the empty line does not count."""
    found = _HEAD_END.search(data, 0, MAX_HEAD_BYTES)
    end = MAX_HEAD_BYTES if found is None else found.start()
    if (found is None and len(data) > MAX_HEAD_BYTES) or data.count(b"\n", 0, end) > max_line_ends:
        raise h11.RemoteProtocolError(
            "the head or the trailers are too long", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        )
    if _NO_TEXT.search(data, 0, end):
        raise h11.RemoteProtocolError("a header has bytes that are no text")


class HeldFlow(FlowControl):
    """Flow control that reads nothing while bytes of the client wait to be parsed."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._held = False

    def hold(self) -> None:
        """Read nothing until :meth:`release`."""
        self._held = True
        self._transport.pause_reading()

    def release(self) -> None:
        """Read again, unless the handler of the request has enough."""
        self._held = False
        if not self.read_paused:
            self._transport.resume_reading()

    def resume_reading(self) -> None:
        """Note that the handler can take more; read it if nothing waits to be parsed."""
        if self._held:
            self.read_paused = False
        else:
            super().resume_reading()


class HttpConnections:
    """All connections of one admin port.

    Args:
        slots: places for them.
        slices: turns in which requests are parsed.
        max_descriptor: highest file descriptor that a connection may have; above it takes the place of another one.
        now: a monotonic clock in seconds, for the log.
        hosts: names by which the port may be addressed.
        take_websocket: takes over sockets of clients that ask for a WebSocket; ``None``: they get none.
    """

    def __init__(
        self,
        slots: ConnectionSlots[HttpConnection],
        slices: Slices,
        max_descriptor: float,
        now: Callable[[], float],
        hosts: KnownHosts,
        take_websocket: TakeSocket | None,
    ) -> None:
        self.slots = slots
        self.slices = slices
        self.hosts = hosts
        self.take_websocket = take_websocket
        self._max_descriptor = max_descriptor
        self._now = now
        self._next_log_s = 0.0

    def make(self, **settings: Any) -> HttpConnection:  # those of uvicorn, passed on
        """Return a connection for a socket that was accepted; called by uvicorn."""
        return HttpConnection(self, **settings)

    def admit(self, connection: HttpConnection, descriptor: int) -> bool:
        """Give a place to a new connection, that of another one if need be; return whether there is one."""
        if self.slots.full or descriptor > self._max_descriptor:
            self._report()
            dispensable = self.slots.dispensable()
            if dispensable is None:
                return False
            dispensable.drop()
        self.slots.enter(connection, Phase.UNFINISHED)
        return True

    def close_overdue(self) -> None:
        """Close the connections whose client takes too long; called about once a second."""
        for connection, phase in self.slots.overdue():
            connection.end(phase)

    def _report(self) -> None:
        now = self._now()
        if now >= self._next_log_s:
            self._next_log_s = now + LOG_INTERVAL_S
            logger.warning(
                "the admin port has %d connections, or file descriptors are short: each new connection takes the place"
                " of an idle or unfinished one; look for clients that do not close theirs",
                len(self.slots),
            )


class HttpConnection(H11Protocol):
    """Connection of a client of the admin port.

    Args:
        connections: all of the port.
        settings: those of uvicorn.
    """

    def __init__(self, connections: HttpConnections, **settings: Any) -> None:
        super().__init__(**settings)
        self._all = connections
        self._is_dropped = False
        self.conn: RequestParser = RequestParser()
        self.flow: HeldFlow

    # Called by the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take the place of a connection, or refuse the client if all are needed."""
        super().connection_made(transport)
        self.flow = HeldFlow(transport)
        if not self._all.admit(self, transport.get_extra_info("socket").fileno()):
            self._is_dropped = True
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back, and end the request that was being answered."""
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes of the client; they are parsed from the next turn on."""
        self._unset_keepalive_if_required()
        self.conn.receive_data(data)
        self._parse_soon()
        self._note_phase()

    def pause_writing(self) -> None:
        """Wait with further parts of the answer: the client has not read those before."""
        super().pause_writing()
        self._note_phase()

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        self._note_phase()

    # Called by uvicorn.

    def on_response_complete(self) -> None:
        """Go on with the next request of the client."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._parse_soon()
        self._note_phase()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP, and close the connection, also in the midst of a request."""
        cycle = self._request
        if cycle is not None and not cycle.response_complete:
            # Its handler sees a client that has left.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        if self.conn.is_head_too_long:
            problem = f"the head exceeds {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} headers"
            self._answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, problem)
        else:
            self._answer(HTTPStatus.BAD_REQUEST, msg)

    # Called by the port.

    def end(self, phase: Phase) -> None:
        """Close the connection, which was too long in a phase."""
        if phase is Phase.UNREAD:
            self.transport.abort()
        elif phase is Phase.UNFINISHED and self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._answer(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def drop(self) -> None:
        """Close the connection at once: another one gets its place."""
        self._leave()
        self.transport.abort()

    def _leave(self) -> None:
        self._is_dropped = True
        self._all.slots.leave(self)
        self._all.slices.drop(self._parse)

    def _answer(self, status: HTTPStatus, text: str = "") -> None:
        """Answer a request that has not been parsed, and close the connection."""
        problem = ProblemResponse(status, status.name, text or status.description or status.phrase, status)
        headers = b"".join([b"%b: %b\r\n" % header for header in problem.raw_headers])
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\n".encode()
        self.transport.write(b"".join([head, headers, b"\r\n", problem.body]))
        self.transport.close()

    def _parse_soon(self) -> None:
        self.flow.hold()
        self._all.slices.add(self._parse)

    def _parse(self) -> bool:
        """Handle a few events of the client; return whether there may be more."""
        if self.transport.is_closing() or self._hand_over():
            return False
        self.conn.allowance = EVENTS_PER_STEP
        self.handle_events()
        more = not self.conn.allowance
        self.conn.allowance = 0
        self._note_phase()
        if self.transport.is_closing():
            return False
        if more or self.conn.is_paused:
            # Once more: uvicorn reads again behind a body that nobody wanted, whatever waits already.
            self.flow.hold()
        else:
            self.flow.release()
        return more

    def _hand_over(self) -> bool:
        """Let go of the socket if its client asks for a WebSocket, or refuse the client; return whether it asks."""
        take = self._all.take_websocket
        is_between = self.conn.our_state is self.conn.their_state is h11.IDLE
        if take is None or not is_between or self.flow.write_paused:
            return False
        data, _ = self.conn.trailing_data
        if not asks_for_websocket(data, MAX_HEAD_BYTES):
            return False
        refused = self._all.hosts.refusal(header_of(data, b"host"), header_of(data, b"origin"), changes=True)
        if refused is not None:
            self._answer(*refused)
            return True
        self._unset_keepalive_if_required()  # a request before it, of a proxy that keeps connections, may have set it
        self.connections.discard(self)
        self._leave()
        self.transport.set_protocol(_NOBODY)
        take(self.transport, data)
        return True

    def _note_phase(self) -> None:
        if not self._is_dropped:
            self._all.slots.enter(self, self._phase)

    @property
    def _request(self) -> RequestResponseCycle | None:
        """Newest request; ``None`` before the first, other than uvicorn's annotation says."""
        return self.cycle

    @property
    def _phase(self) -> Phase:
        request = self._request
        if self.flow.write_paused or self.transport.is_closing():
            return Phase.UNREAD
        if request is not None and not request.response_complete:
            return Phase.ANSWERING
        is_between = request is not None and self.conn.their_state is h11.IDLE
        return Phase.IDLE if is_between and not self.conn.trailing_data[0] else Phase.UNFINISHED
