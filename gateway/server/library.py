"""The WebSocket library as the gateway uses it: its state machine, with the fragments of a message put together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple, cast

from websockets.exceptions import NegotiationError
from websockets.frames import CloseCode, Frame
from websockets.frames import Opcode as WebSocketOpcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.protocol.wire import SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON
from gateway.security.bearer import bearer_of

NO_WEBSOCKET: Final = (
    f"This port takes WebSockets only, of the subprotocol {SUBPROTOCOL_BINARY} or {SUBPROTOCOL_JSON}."
    " Metrics, health and streams over HTTP are on the admin port: 8766, unless frys serve has another --admin-port.\n"
)
"""Answer to an HTTP request that begins no WebSocket."""

_silent = logging.getLogger("gateway.server.websocket.wire")
_silent.setLevel(logging.CRITICAL)


class WebSocketMessage(NamedTuple):
    """Complete message that came by way of the library."""

    data: bytes | bytearray
    """Bytes, which do not change any more."""
    text: bool
    """Whether it is a text message; a binary one otherwise."""


class WebSocketPong(NamedTuple):
    """Answer of the peer's transport to a ping, or one that nobody has asked for."""

    payload: bytes


class Library(ServerProtocol):
    """The library's end of one connection.

    Args:
        max_frame_bytes: a larger message closes the connection.
        opened: subprotocol of a connection whose handshake is done; ``None``: its request is still to come.
    """

    __slots__ = ("_fragments", "_text")

    def __init__(self, max_frame_bytes: int, opened: str | None = None) -> None:
        super().__init__(
            subprotocols=[Subprotocol(SUBPROTOCOL_BINARY), Subprotocol(SUBPROTOCOL_JSON)],
            state=State.CONNECTING if opened is None else State.OPEN,
            max_size=max_frame_bytes,
            logger=_silent,
        )
        self.subprotocol = None if opened is None else Subprotocol(opened)
        # 176 bytes of each idle connection, for logs that are off.
        del self.id
        self._fragments: bytearray | None = None
        """Bytes of an incomplete message: at most ``max_frame_bytes``, in however many fragments."""
        self.bearer: str | None = None
        """Token in the head of the handshake."""
        self._text = False
        """Whether the incomplete message is a text."""

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """Return the subprotocol of a connection.

        Raises:
            NegotiationError: the client offers none that the gateway speaks.
        """
        if not subprotocols:
            example = f"new WebSocket(url, '{SUBPROTOCOL_JSON}')"
            raise NegotiationError(
                f"missing subprotocol; name {SUBPROTOCOL_BINARY} or {SUBPROTOCOL_JSON}, as {example} does"
            )
        return super().select_subprotocol(subprotocols)

    def reject(self, status: int, text: str) -> Response:
        """Return the answer to a request that begins no WebSocket; tell who wants HTTP where to find it."""
        if status in (HTTPStatus.UPGRADE_REQUIRED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED):
            # A WebSocket begins with HTTP/1.1: a client of HTTP/1.0, which the library answers with 505, wants none.
            return super().reject(HTTPStatus.UPGRADE_REQUIRED, NO_WEBSOCKET)
        return super().reject(status, text)

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        """Close a connection whose peer breaks a rule of WebSockets, and tell it what to do about it."""
        if code == CloseCode.MESSAGE_TOO_BIG:
            # A close frame has room for 123 bytes of reason.
            advice = "PUT it on the admin port" if self.subprotocol == SUBPROTOCOL_JSON else "send it in chunks"
            reason = f"a message exceeds max_frame_bytes, {self.max_message_size} bytes: {advice}"
        super().fail(code, reason)

    def recv_frame(self, frame: Frame) -> None:
        """Take one frame; a Close ends a message of which fragments are missing (RFC 6455, section 5.5.1)."""
        if frame.opcode is WebSocketOpcode.CLOSE:
            # The library fails such a connection, with 1002, though control frames may come between fragments.
            self.current_size = None
            self._fragments = None
        super().recv_frame(frame)

    def accept(self, request: Request) -> Response:
        """Return the answer to a handshake."""
        response = super().accept(request)
        self.bearer = bearer_of(request.headers.get_all("Authorization"))
        # A frame of its traceback refers to the error that refuses the handshake: together they would wait for the
        # collector, with the request.
        error: BaseException | None = self.handshake_exc
        while error is not None:
            error.__traceback__ = None
            error = error.__context__
        return response

    def end(self) -> bool:
        """Forget an incomplete message: the socket is gone, and nothing more comes. Return False: no step is left."""
        # The parser refers to the library, and so do the errors that have ended it, by their tracebacks: together they
        # would wait for the collector, and keep the message.
        self.parser.close()
        self.parser_exc = self.handshake_exc = None
        self.reader.buffer.clear()
        self._fragments = None
        return False

    def take(self, data: memoryview) -> list[Request | WebSocketMessage | WebSocketPong]:
        """Take bytes of the peer, and return as :meth:`received`."""
        # The annotation asks for bytes; the library does `bytearray += data`, which takes a view.
        self.receive_data(cast(bytes, data))
        return self.received()

    def received(self) -> list[Request | WebSocketMessage | WebSocketPong]:
        """Return the messages and pongs, and at first the request of the handshake, that have become complete."""
        complete: list[Request | WebSocketMessage | WebSocketPong] = []
        for event in self.events_received():
            if isinstance(event, Request):
                complete.append(event)
            elif isinstance(event, Frame):
                message = self._complete(event)
                if message is not None:
                    complete.append(message)
        return complete

    def _complete(self, frame: Frame) -> WebSocketMessage | WebSocketPong | None:
        """Return the message that a frame completes, if it does, or the pong that it is."""
        opcode = frame.opcode
        # The library's annotation allows for other buffers; on this side it is bytes.
        data = cast(bytes, frame.data)
        if opcode is WebSocketOpcode.TEXT or opcode is WebSocketOpcode.BINARY:
            if frame.fin:
                return WebSocketMessage(data, opcode is WebSocketOpcode.TEXT)
            self._text = opcode is WebSocketOpcode.TEXT
            self._fragments = bytearray(data)
        elif opcode is WebSocketOpcode.CONT and self._fragments is not None:
            self._fragments += data
            if frame.fin:
                fragments, self._fragments = self._fragments, None
                return WebSocketMessage(fragments if self._text else bytes(fragments), self._text)
        elif opcode is WebSocketOpcode.PONG:
            return WebSocketPong(data)
        return None
