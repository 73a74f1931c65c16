"""One connection of ``frys.v1.json`` (spec section 14): text in becomes binary frames, answers become text.

Answers depend on the connection: they name streams where binary ones name aliases, and the ``id`` of the message that
they answer where binary ones name sequences.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Final, Literal

from gateway.connections.dispatcher import Dispatcher
from gateway.connections.outbound.formats import Sendable
from gateway.connections.ports import Clock
from gateway.connections.sessions.session import Session
from gateway.connections.slices import step_of
from gateway.connections.text.renderer import TextRenderer
from gateway.connections.text.submission import submit
from gateway.errors import Code, FrysError, PeerError, ProtocolViolation, RequestRefused, name_of
from gateway.protocol.data import DataFrame
from gateway.protocol.durability import Durability
from gateway.protocol.extensions import Extensions
from gateway.protocol.json_message import JsonMessage
from gateway.protocol.json_text import (
    JsonAck,
    JsonRange,
    TextMessage,
    parse_text,
    write_ack,
    write_cancel,
    write_pong,
    write_range,
    write_session_text,
)
from gateway.protocol.limits import Limits
from gateway.protocol.long_text import SHORT_TEXT_BYTES, Text, read_long_text, utf8_fault
from gateway.protocol.messages import Error, Kind, Open, StreamInfo
from gateway.protocol.meta import write_meta
from gateway.protocol.names import check_address, check_stream_name
from gateway.protocol.signals import Ack, Cancel, Gap, Pong, Replay, Signal
from gateway.protocol.state import Role, advance
from gateway.protocol.tensors import payload_buffers, spec_of
from gateway.protocol.wire import FLAG_ACK, FLAG_FAILED, FLAG_MORE, SUBPROTOCOL_JSON

logger = logging.getLogger(__name__)

_UNREADABLE: Final = {Code.INVALID_REQUEST, Code.UNKNOWN_MESSAGE_TYPE, Code.MESSAGE_TOO_BIG}
"""Codes of texts that are no message, or too large for one."""

_MARK: Final = secrets.token_hex(8)
"""Stands for the data that is cut out of long texts."""


class TextSession:
    """The :class:`~gateway.connections.outbound.formats.UnchunkedFormat` of one JSON connection, and its input.

    Args:
        renderer: writes messages, the same for all JSON connections.
        dispatcher: takes the frames that the client's texts become.
        clock: stamps answers, and messages that carry no time.
        limits: bound on the aliases of a connection, and size of the chunks in which large payloads are handed on.
    """

    name = SUBPROTOCOL_JSON
    takes_chunks: Final[Literal[False]] = False
    acknowledges = False
    answers_pings = False

    def __init__(self, renderer: TextRenderer, dispatcher: Dispatcher, clock: Clock, limits: Limits) -> None:
        self.runs = renderer.runs
        self.writing = renderer.writing
        self._header = renderer.message_header
        self._dispatcher = dispatcher
        self._clock = clock
        self._limits = limits
        self._streams: dict[int, tuple[str, int | None]] = {}
        """Streams that are received: by id the name, and the id again if it is of a view or an observed stream."""
        self._aliases: dict[str, int] = {}
        """Aliases by the names that they were opened for last; some may be bound to other names by now."""
        self._publishes: dict[int, dict[int, tuple[int | None, str]]] = {}
        """Messages that are not acknowledged yet: by alias and sequence the ``id`` and the stream."""
        self._answering: int | None = None
        """The ``id`` of the message that is being handled."""
        self._opening = False
        """Whether an alias is being opened that the client has not asked for, and so is told nothing of."""

    def receive(self, session: Session, text: Text) -> None:
        """Handle one text message of the client; a long one in later turns.

        Args:
            session: of this connection.
            text: UTF-8 that may be invalid; does not change any more.
        """
        if session.connection.closed:
            return
        backlog = session.pending
        if len(text) > SHORT_TEXT_BYTES:
            session.backlog.add(step_of(self._handle_long(session, text)), len(text))
        elif (backlog is not None and backlog.blocks) or self._dispatcher.late():
            session.backlog.add(partial(self._handle_later, session, text), len(text))
        else:
            self._handle(session, text)

    def _handle_later(self, session: Session, text: Text) -> bool:
        """Handle a message whose turn in the backlog has come; return False, because no step is left."""
        self._handle(session, text)
        self._dispatcher.make_owed()
        return False

    def _handle(self, session: Session, text: Text) -> None:
        """Handle a message."""
        try:
            try:
                message = parse_text(text, partial(advance, Role.CLIENT, session.state))
            except PeerError as error:
                for _ in self._refuse(session, text, error):
                    pass
            else:
                self._act(session, message)
        except Exception:
            logger.exception("text of %d bytes from %s failed", len(text), session.peer.client_id or "a new client")
            session.fail(RequestRefused(Code.INTERNAL, "the gateway failed; its log says more"))

    def _handle_long(self, session: Session, text: Text) -> Iterator[None]:
        """Handle a message in steps."""
        try:
            message = yield from read_long_text(text, _MARK, partial(advance, Role.CLIENT, session.state))
        except PeerError as error:
            yield from self._refuse(session, text, error)
        else:
            del text  # its tensors are decoded
            self._act(session, message)
            self._dispatcher.make_owed()

    def _act(self, session: Session, message: TextMessage) -> None:
        """Do what a message asks for."""
        session.unreadable = 0
        try:
            if isinstance(message, JsonMessage):
                self._answering = message.id
                self._submit(session, message)
            elif not isinstance(
                message, JsonAck | JsonRange | Pong
            ):  # of these a client sends PONG, which asks nothing
                self._dispatcher.receive_session(session, message)
                if isinstance(message, Open):
                    self._note_alias(session, message.alias, message.stream)
        except PeerError as error:
            _answer(session, error)
        finally:
            self._answering = None

    def _refuse(self, session: Session, text: Text, error: PeerError) -> Iterator[None]:
        """Answer a text that cannot be read, in steps."""
        if not isinstance(error, RequestRefused) or error.code not in _UNREADABLE:
            _answer(session, error)
            return
        problem = yield from utf8_fault(text)
        if problem is None:
            self._dispatcher.refuse_text(session, error)
        else:
            session.connection.close(Code.INVALID_DATA, problem)

    def signal(self, message: Sendable) -> bytes:
        """Return a session message or signal as framed text; empty if JSON clients are not told of it."""
        now = self._clock.time_ns() / 1e9
        match message:
            case Ack():
                request, stream = self._settled(message.alias, message.sequence) or (None, "")
                text = write_ack(JsonAck(request, stream, message.offset, message.durability), timestamp=now)
            case Gap() | Replay():
                stream, view = self._streams.get(message.stream, ("", None))
                messages = JsonRange(message.opcode, stream, message.code, message.first, message.last, view)
                text = write_range(messages, timestamp=now)
            case Pong():
                text = write_pong(message, timestamp=now)
            case Cancel():
                text = write_cancel(message, timestamp=now)
            case StreamInfo() if self._opening and message.alias is not None:
                return b""
            case StreamInfo():
                if message.id is not None and message.alias is None and message.ended is None:
                    self._streams[message.id] = message.stream, None if message.subscription is None else message.id
                text = write_session_text(message, timestamp=now)
            case Error() if message.alias is not None and message.sequence is None and message.stream is not None:
                return b""  # the stream of an alias has ended: the next message opens it again
            case Error():
                text = write_session_text(self._in_text_terms(message), timestamp=now)
            case Signal():  # about chunks, or a heartbeat that text does not have
                return b""
            case _:
                text = write_session_text(message, timestamp=now)
        return self._header(len(text)) + text

    def forget(self, stream: int) -> None:
        """Forget the name of a stream that the client does not receive any more."""
        self._streams.pop(stream, None)

    def _in_text_terms(self, error: Error) -> Error:
        """Return an error that names a stream and an ``id`` instead of an alias and a sequence."""
        if error.alias is None or error.sequence is None:
            # An ERROR about a subscription answers no message, though one may have led to it.
            answers = error.request is None and error.subscription is None
            return replace(error, request=self._answering) if answers else error
        request, stream = self._settled(error.alias, error.sequence) or (None, None)
        return Error(error.code, name_of(error.code), error.message, request=request, stream=stream)

    def _submit(self, session: Session, message: JsonMessage) -> None:
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
            stream = self._alias(session, check(name), message.kind, message.durability)
            offset = message.correlation or 0
        if message.message_type == "message":
            offset = session.bindings[stream].next_sequence
            self._publishes.setdefault(stream, {})[offset] = (message.id, message.stream or "")
            flags = FLAG_ACK if message.ack else 0
        timestamp_ns, deadline_ns = message.timestamp_ns, message.deadline_ns
        if timestamp_ns is None:
            timestamp_ns = self._clock.time_ns()
        payload = payload_buffers([array for _, array in message.tensors])
        frame = DataFrame(
            message.opcode,
            flags,
            stream,
            publisher=0,
            offset=offset,
            timestamp_ns=timestamp_ns,
            meta=memoryview(meta),
            payload=memoryview(payload[0] if len(payload) == 1 else b"".join(payload)),
            extensions=None if deadline_ns is None else Extensions(deadline_ns=deadline_ns),
        )
        steps = submit(self._dispatcher, session, frame, self._limits)
        unanswered = message.message_type == "message" and not message.ack
        if steps is not None:
            work = self._continue(steps, message.id, (stream, offset) if unanswered else None)
            session.backlog.add(step_of(work), len(frame.payload))
        elif unanswered:
            self._settled(stream, offset)

    def _continue(
        self, steps: Iterator[None], request: int | None, unanswered: tuple[int, int] | None
    ) -> Iterator[None]:
        """Hand on a large message, whose ``id`` is ``request``, in steps.

        Args:
            steps: hand it on.
            request: named by answers meanwhile.
            unanswered: alias and sequence of a message that wants no acknowledgement.
        """
        self._answering = request
        for _ in steps:
            self._answering = None
            yield
            self._answering = request
        self._answering = None
        if unanswered is not None:
            self._settled(*unanswered)

    def _settled(self, alias: int, sequence: int) -> tuple[int | None, str] | None:
        """Forget a message that is acknowledged or refused, and return its ``id`` and stream, if they are known."""
        waiting = self._publishes.get(alias)
        if waiting is None:
            return None
        found = waiting.pop(sequence, None)
        if not waiting:
            del self._publishes[alias]
        return found

    def _alias(self, session: Session, name: str, kind: Kind | None, durability: Durability | None) -> int:
        """Return the alias of a stream or address, which is opened if need be."""
        known = self._aliases.get(name)
        binding = None if known is None else session.bindings.get(known)
        if binding is not None and binding.name == name and binding.refusal is None and not binding.ended:
            if binding.stream is not None:
                binding.stream.check(kind, durability)
            return binding.alias
        alias = self._unused(session)
        self._opening = True
        try:
            self._dispatcher.open(session, Open(alias, name, kind, durability))
        except RequestRefused:
            session.bindings.pop(alias, None)
            raise
        finally:
            self._opening = False
        self._note_alias(session, alias, name)
        return alias

    def _note_alias(self, session: Session, alias: int, name: str) -> None:
        """Note the name for which an alias was opened."""
        if len(self._aliases) >= 2 * self._limits.max_aliases:
            self._aliases = {binding.name: alias for alias, binding in session.bindings.items()}
        self._aliases[name] = alias

    def _unused(self, session: Session) -> int:
        """Return a number for another alias: of those in use, if there are too many, the one that was opened first."""
        bindings = session.bindings
        if len(bindings) >= self._limits.max_aliases:
            for alias, binding in bindings.items():
                if binding.transfer is None and alias not in self._publishes:
                    return alias
        return next(alias for alias in count(len(bindings)) if alias not in bindings)


def _answer(session: Session, error: PeerError) -> None:
    """Tell the client its fault, which ends the connection if it breaks the protocol."""
    if isinstance(error, ProtocolViolation):
        session.fail(error)
    else:
        session.refuse(error)
