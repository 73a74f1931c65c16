"""Text messages of ``frys.v1.json``: binary frames as JSON, for people and small scripts (spec section 14).

Session messages are the dataclasses of :mod:`gateway.protocol.messages`; messages that carry tensors are in
:mod:`gateway.protocol.json_message`, with their own writers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import orjson

from gateway.errors import Code, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.json_body import EXACT_MAX, I64_MAX, U32_MAX, U64_MAX, BodyRefused, JsonBody
from gateway.protocol.json_message import JsonMessage, read_message, read_reply, read_request
from gateway.protocol.json_size import check_body_size
from gateway.protocol.message_text import write_envelope
from gateway.protocol.messages import SessionMessage
from gateway.protocol.session_body import fields_of, read_session
from gateway.protocol.signals import Cancel, Credit, Ping, Pong, ProgramPosition, ReceiverReport
from gateway.protocol.wire import JSON_OPCODES, MAX_POSITIONS, Buffer, Opcode

# Fields that a client may leave out of the payload; the ``id`` of the text message stands for them.
_ID_STANDS_FOR: Final = {
    Opcode.AUTHENTICATE: ("request",),
    Opcode.OPEN: ("alias",),
    Opcode.SUBSCRIBE: ("request", "subscription"),
    Opcode.UNSUBSCRIBE: ("request",),
    Opcode.DELETE: ("request",),
    Opcode.ACCOUNT: ("request",),
    Opcode.ATTEND: ("request",),
}


@dataclass(frozen=True, slots=True)
class JsonAck:
    """``ack``: offset of one published message (spec section 14)."""

    opcode: ClassVar = Opcode.ACK

    request: int | None
    """``id`` of the publish; None if it had none."""
    stream: str
    offset: int
    durability: Durability = Durability.MEMORY


@dataclass(frozen=True, slots=True)
class JsonRange:
    """``gap`` or ``replay``: messages that the receiver will not get, or gets from history (spec section 14)."""

    opcode: Opcode
    """GAP (spec section 7.2) or REPLAY (spec section 7.3)."""
    stream: str
    code: int
    first: int
    last: int
    view: int | None = None
    """Id of the view, or observed stream, that the messages belong to; None: they belong to the stream itself."""


OpcodeCheck = Callable[[Opcode], object]
"""Refusal of a message by its opcode, before its fields are read."""

TextMessage = SessionMessage | JsonMessage | JsonAck | JsonRange | Ping | Pong | Cancel | Credit | ReceiverReport


def parse_text(text: Buffer | str, check: OpcodeCheck = lambda _: None) -> TextMessage:
    """Read a text message, of either direction.

    Names of streams, patterns and addresses are not checked.

    Args:
        text: UTF-8 that may be invalid.
        check: what the reader thinks of the opcode; its errors are raised.

    Raises:
        ProtocolViolation: ``BAD_HELLO``.
        RequestRefused: ``INVALID_REQUEST``, ``UNKNOWN_MESSAGE_TYPE``, ``INVALID_TENSOR``, ``SIZE_MISMATCH`` or
            ``CORRUPT_PAYLOAD``; ``MESSAGE_TOO_BIG`` for a session message; a
            :class:`~gateway.protocol.json_body.BodyRefused`, with the ``id`` as ``request`` if it could be read.
    """
    return read_text(parse_text_body(text), len(text), check)


def parse_text_body(text: Buffer | str) -> JsonBody:
    """Parse a text message, for :func:`read_text`.

    Raises:
        BodyRefused: ``INVALID_REQUEST``, it is no JSON object.
    """
    try:
        return JsonBody.parse("text message", text)
    except RequestRefused as error:
        raise BodyRefused(error.code, error.message, {}, more=False) from None  # it may have been a SUBSCRIBE


def read_text(body: JsonBody, nbytes: int, check: OpcodeCheck) -> TextMessage:
    """Read a text message that is parsed already, as :func:`parse_text` does.

    Args:
        body: the object; ``data`` of its tensors may be decoded already.
        nbytes: size of the text.
        check: as of ``parse_text``.
    """
    try:
        message_type = body.text("message_type")
        opcode = _TEXT_OPCODES.get(message_type)
        if opcode is None:
            raise RequestRefused(Code.UNKNOWN_MESSAGE_TYPE, f"unknown message type {message_type[:40]!r}")
        check(opcode)
        reader = _READERS.get(message_type)
        if reader is not None:
            return reader(body)
        check_body_size(opcode, nbytes)
        return _read_session_text(opcode, body)
    except RequestRefused as error:
        answers = error.answers if isinstance(error, BodyRefused) else body.integers_found({"correlation": U64_MAX})
        if identity := body.integers_found({"id": EXACT_MAX}):
            answers = {"request": identity["id"], **answers}
        payload = body.get("payload")
        more = None
        if body.get("message_type") == "subscribe":
            more = isinstance(payload, dict) and payload.get("more") is True
        raise BodyRefused(error.code, error.message, answers, more=more) from None


def _read_session_text(opcode: Opcode, body: JsonBody) -> SessionMessage:
    fields = dict(body.mapping_or_none("payload") or {})
    names = _ID_STANDS_FOR.get(opcode, ())
    if names and all(fields.get(name) is None for name in names):
        # Refused by the name that the sender knows.
        JsonBody(opcode.name.lower(), {"id": body.get("id")}).integer("id", EXACT_MAX)
    for name in names:
        if fields.get(name) is None:
            fields[name] = body.get("id")
    if opcode == Opcode.HELLO:
        for name in ("client_id", "client_type"):
            if fields.get(name) is None:
                fields[name] = body.get(name)
    return read_session(opcode, JsonBody(opcode.name.lower(), fields))


def _read_ack(body: JsonBody) -> JsonAck:
    payload = body.nested("payload")
    durability = payload.choice_or_none("durability", Durability) or Durability.MEMORY
    return JsonAck(payload.integer_or_none("request"), payload.text("stream"), payload.integer("offset"), durability)


def _read_range(opcode: Opcode, body: JsonBody) -> JsonRange:
    payload = body.nested("payload")
    first, last = payload.integer("first"), payload.integer("last")
    view = payload.integer_or_none("view", U32_MAX)
    return JsonRange(opcode, payload.text("stream"), payload.integer("code", U32_MAX), first, last, view)


def _read_ping(body: JsonBody) -> Ping:
    payload = JsonBody("ping", body.mapping_or_none("payload") or {})
    return Ping(_clock(payload, "t0") if "t0" in payload else 0)


def _read_pong(body: JsonBody) -> Pong:
    payload = body.nested("payload")
    return Pong(_clock(payload, "t0"), _clock(payload, "t1"), _clock(payload, "t2"))


def _read_report(body: JsonBody) -> ReceiverReport:
    payload = JsonBody("report", body.mapping_or_none("payload") or {})
    names = ("decoded_bytes", "decode_ns", "unread_bytes", "unread_ns")
    decoded_bytes, decode_ns, unread_bytes, unread_ns = [payload.integer_or_none(name) or 0 for name in names]
    positions = (
        tuple(map(_read_position, payload.objects("positions", MAX_POSITIONS))) if "positions" in payload else ()
    )
    return ReceiverReport(decoded_bytes, decode_ns, unread_bytes, unread_ns, positions)


def _read_position(position: JsonBody) -> ProgramPosition:
    stream, behind = position.integer("stream", U32_MAX), position.integer("behind", U32_MAX)
    return ProgramPosition(stream, behind, position.integer("offset"))


def _read_cancel(body: JsonBody) -> Cancel:
    return Cancel(body.integer_or_none("peer", U32_MAX) or 0, body.integer("correlation"))


def _read_credit(body: JsonBody) -> Credit:
    payload = body.nested("payload")
    subscription = payload.integer("subscription", U32_MAX)
    return Credit(subscription, payload.integer("messages", U32_MAX), payload.integer("bytes"))


def _clock(payload: JsonBody, name: str) -> int:
    return payload.integer(name, I64_MAX, -I64_MAX - 1)


_READERS: Final[dict[str, Callable[[JsonBody], TextMessage]]] = {
    "message": read_message,
    "request": read_request,
    "reply": read_reply,
    "ack": _read_ack,
    "gap": partial(_read_range, Opcode.GAP),
    "replay": partial(_read_range, Opcode.REPLAY),
    "ping": _read_ping,
    "pong": _read_pong,
    "cancel": _read_cancel,
    "report": _read_report,
    "credit": _read_credit,
}
_TEXT_OPCODES: Final = {
    **{opcode.name.lower(): opcode for opcode in JSON_OPCODES},
    **{message_type: Opcode[message_type.upper()] for message_type in _READERS},
}


def write_session_text(message: SessionMessage, *, id: int | None = None, timestamp: float | None = None) -> bytes:
    """Return the text of a session message.

    Args:
        message: any session message.
        id: the sender's number for the message; answers of the server have none.
        timestamp: Unix time in seconds.
    """
    return _write(message.opcode.name.lower(), fields_of(message), id=id, timestamp=timestamp)


def write_ack(ack: JsonAck, *, timestamp: float | None = None) -> bytes:
    """Return the text that tells a publisher the offset and durability of its message."""
    payload = {
        "request": ack.request,
        "stream": ack.stream,
        "offset": ack.offset,
        "durability": ack.durability,
    }
    return _write("ack", payload, timestamp=timestamp)


def write_range(messages: JsonRange, *, timestamp: float | None = None) -> bytes:
    """Return the text that announces messages that will not come, or messages from history."""
    payload = {"stream": messages.stream, "code": messages.code, "first": messages.first, "last": messages.last}
    if messages.view is not None:
        payload["view"] = messages.view
    return _write(messages.opcode.name.lower(), payload, timestamp=timestamp)


def write_pong(pong: Pong, *, timestamp: float | None = None) -> bytes:
    """Return the text of a PONG."""
    return _write("pong", {"t0": pong.t0, "t1": pong.t1, "t2": pong.t2}, timestamp=timestamp)


def write_cancel(cancel: Cancel, *, timestamp: float | None = None) -> bytes:
    """Return the text that tells a replier, or the gateway, that the asker does not want the answer any more."""
    further = {"correlation": cancel.correlation, **({"peer": cancel.peer} if cancel.peer else {})}
    return write_envelope("cancel", b"null", timestamp=timestamp, further=further)


def _write(
    message_type: str, payload: dict[str, Any], *, id: int | None = None, timestamp: float | None = None
) -> bytes:
    return write_envelope(message_type, orjson.dumps(payload), id=id, timestamp=timestamp)
