"""``frys.v1.json`` on the way in: text becomes the binary frames that everyone else sends (spec section 14)."""

from __future__ import annotations

from gateway.connections.dispatcher import Dispatcher, close_for
from gateway.connections.ports import Clock
from gateway.connections.session import Session
from gateway.connections.submission import submit
from gateway.connections.text_format import TextFormat
from gateway.errors import Code, FrysError, ProtocolViolation, RequestRefused
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.json_message import JsonMessage
from gateway.protocol.json_text import JsonAck, JsonGap, parse_text
from gateway.protocol.messages import Error, Kind, Open
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Pong
from gateway.protocol.state import State
from gateway.protocol.tensors import payload_buffers, spec_of
from gateway.protocol.wire import FLAG_ACK, FLAG_FAILED, Opcode

_OPCODES = {"message": Opcode.MESSAGE, "request": Opcode.REQUEST, "reply": Opcode.REPLY}


class TextBridge:
    """Handles the text messages of all JSON connections.

    Args:
        dispatcher: takes the frames.
        clock: stamps messages that carry no time.
        chunk_bytes: larger payloads are handed on in chunks.
    """

    def __init__(self, dispatcher: Dispatcher, clock: Clock, chunk_bytes: int) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._chunk_bytes = chunk_bytes

    def receive(self, session: Session, form: TextFormat, text: bytes) -> None:
        """Handle one text message."""
        connection = session.connection
        connection.heard = True
        try:
            message = parse_text(text)
            if isinstance(message, JsonMessage):
                if connection.state is State.GREETING:
                    problem = f"{message.message_type} before hello"
                    raise ProtocolViolation(Code.UNEXPECTED_MESSAGE, problem)
                self._submit(session, form, message)
            elif isinstance(message, JsonAck | JsonGap | Pong):
                raise RequestRefused(Code.UNKNOWN_MESSAGE_TYPE, "clients do not send ack, gap and pong")
            else:
                self._dispatcher.receive_session(session, message)
        except ProtocolViolation as violation:
            close_for(connection, violation)
        except BodyRefused as refusal:
            connection.send(Error.of(refusal))
        except RequestRefused as refusal:
            connection.refuse(refusal)

    def _submit(self, session: Session, form: TextFormat, message: JsonMessage) -> None:
        try:
            meta = write_meta([spec_of(array, name) for name, array in message.tensors], message.headers)
        except FrysError as error:
            raise RequestRefused(Code.INVALID_REQUEST, str(error)) from None
        flags = 0
        if message.message_type == "reply":
            stream, offset = message.peer or 0, message.correlation or 0
            flags = FLAG_FAILED if message.failed else 0
        else:
            stream = self._alias(session, message.stream or "", message.kind)
            offset = message.correlation or 0
        if message.message_type == "message":
            offset = session.routes[stream].next_sequence
            form.expected[(stream, offset)] = (message.id, message.stream or "")
            flags = FLAG_ACK if message.ack else 0
        timestamp_ns = message.timestamp_ns
        submit(
            self._dispatcher,
            session,
            _OPCODES[message.message_type],
            stream=stream,
            offset=offset,
            flags=flags,
            timestamp_ns=self._clock.time_ns() if timestamp_ns is None else timestamp_ns,
            meta=meta,
            payload=payload_buffers([array for _, array in message.tensors]),
            chunk_bytes=self._chunk_bytes,
        )
        if message.message_type == "message" and not message.ack:
            form.expected.pop((stream, offset), None)

    def _alias(self, session: Session, name: str, kind: Kind | None) -> int:
        """The alias of a stream or address, opened if need be; it is known by its name alone, and so is its kind."""
        for alias, route in session.routes.items():
            if route.name == name and route.refusal is None:
                if route.stream is not None and kind is not None and route.stream.kind is not kind:
                    problem = f"stream {name} is of kind {route.stream.kind.value}, not {kind.value}"
                    raise RequestRefused(Code.KIND_MISMATCH, problem)
                return alias
        alias = max(session.routes, default=-1) + 1
        try:
            self._dispatcher.open(session, Open(alias, name, kind))
        except RequestRefused:
            session.routes.pop(alias, None)
            raise
        return alias
