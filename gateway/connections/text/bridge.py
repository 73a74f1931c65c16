"""``frys.v1.json`` on the way in: text becomes the binary frames that everyone else sends (spec section 14)."""

from __future__ import annotations

import logging
from itertools import count

from gateway.connections.dispatcher import Dispatcher
from gateway.connections.ports import Clock
from gateway.connections.sessions.session import Session
from gateway.connections.text.format import TextFormat
from gateway.connections.text.submission import submit
from gateway.errors import Code, FrysError, ProtocolViolation, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.extensions import Extensions
from gateway.protocol.json_message import JsonMessage
from gateway.protocol.json_text import JsonAck, JsonRange, parse_text
from gateway.protocol.messages import Kind, Open
from gateway.protocol.meta import write_meta
from gateway.protocol.names import check_address, check_stream_name
from gateway.protocol.signals import Pong
from gateway.protocol.state import Role, advance
from gateway.protocol.tensors import payload_buffers, spec_of
from gateway.protocol.wire import FLAG_ACK, FLAG_FAILED, FLAG_MORE

logger = logging.getLogger(__name__)


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
        session.heard = True
        try:
            message = parse_text(text)
            if isinstance(message, JsonMessage):
                advance(Role.CLIENT, session.state, message.opcode)
                form.answering = message.id
                self._submit(session, form, message)
            elif isinstance(message, JsonAck | JsonRange | Pong):  # only PONG is for a client to send
                advance(Role.CLIENT, session.state, message.opcode)
            else:
                self._dispatcher.receive_session(session, message)
        except ProtocolViolation as violation:
            session.fail(violation)
        except RequestRefused as refusal:
            session.refuse(refusal)
        except Exception:
            logger.exception("text of %d bytes from %s failed", len(text), session.peer.client_id or "a new client")
            session.fail(RequestRefused(Code.INTERNAL, "the gateway failed; its log says more"))
        finally:
            form.answering = None

    def _submit(self, session: Session, form: TextFormat, message: JsonMessage) -> None:
        try:
            meta = write_meta([spec_of(array, name) for name, array in message.tensors], message.headers)
        except FrysError as error:
            raise RequestRefused(Code.INVALID_REQUEST, str(error)) from None
        flags = 0
        if message.message_type == "reply":
            stream, offset = message.peer or 0, message.correlation or 0
            flags = (FLAG_FAILED if message.failed else 0) | (FLAG_MORE if message.more else 0)
        else:
            name = message.stream or ""
            check = check_address if message.message_type == "request" else check_stream_name
            stream = self._alias(session, form, check(name), message.kind, message.durability)
            offset = message.correlation or 0
        if message.message_type == "message":
            offset = session.routes[stream].next_sequence
            form.expected[(stream, offset)] = (message.id, message.stream or "")
            flags = FLAG_ACK if message.ack else 0
        timestamp_ns, deadline_ns = message.timestamp_ns, message.deadline_ns
        submit(
            self._dispatcher,
            session,
            message.opcode,
            stream=stream,
            offset=offset,
            flags=flags,
            timestamp_ns=self._clock.time_ns() if timestamp_ns is None else timestamp_ns,
            meta=meta,
            payload=payload_buffers([array for _, array in message.tensors]),
            chunk_bytes=self._chunk_bytes,
            extensions=None if deadline_ns is None else Extensions(deadline_ns=deadline_ns),
        )
        if message.message_type == "message" and not message.ack:
            form.expected.pop((stream, offset), None)

    def _alias(
        self, session: Session, form: TextFormat, name: str, kind: Kind | None, durability: Durability | None
    ) -> int:
        """The alias of a stream or address, opened if need be; it is known by its name alone."""
        for alias, route in session.routes.items():
            if route.name == name and route.refusal is None:
                if route.stream is not None:
                    route.stream.check(kind, durability)
                return alias
        alias = next(alias for alias in count(len(session.routes)) if alias not in session.routes)
        form.opening = True
        try:
            self._dispatcher.open(session, Open(alias, name, kind, durability))
        except RequestRefused:
            session.routes.pop(alias, None)
            raise
        finally:
            form.opening = False
        return alias
