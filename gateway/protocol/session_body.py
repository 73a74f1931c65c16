"""Bodies of session messages: JSON to the classes of :mod:`gateway.protocol.messages` and back (spec section 2).

Knows types and ranges of fields; checks no names, except in HELLO, nor whether a message is expected. Binary frames go
through :func:`parse_session` and :func:`write_session`, the JSON subprotocol through :func:`read_session` and
:func:`fields_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.durability import Durability
from gateway.protocol.json_body import EXACT_MAX, U32_MAX, U64_MAX, BodyRefused, JsonBody, in_one_line
from gateway.protocol.limits import WelcomeLimits
from gateway.protocol.messages import (
    BEGINNING,
    Account,
    Authenticate,
    Authenticated,
    ClientType,
    Counts,
    Credits,
    Delete,
    Deleted,
    Error,
    GoAway,
    Hello,
    Kind,
    Notice,
    Open,
    Refresh,
    SessionMessage,
    Since,
    StreamInfo,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from gateway.protocol.names import check_client_id
from gateway.protocol.presence import read_attend, read_attending, read_awareness, read_members
from gateway.protocol.wire import FRAME_START, PADDING, Buffer, Opcode

# Numbers by which the sender of a message recognizes the answer.
_ANSWERS: Final = {"request": EXACT_MAX, "alias": U32_MAX}
# Fields that are written as null; every other field that is None is left out.
_NULLABLE: Final[dict[type, str]] = {Hello: "token", Authenticated: "expires_s", StreamInfo: "id"}

MAX_AGENT_CHARS: Final = 256
"""Characters of ``agent`` in HELLO that are kept, for as long as the connection lives."""

# The last count is left out while it is 0.
_ALWAYS_COUNTED: Final = Counts._fields[:-1]

_INTEGERS_ONLY: Final = {int}

_ANNOUNCED: Final = ("id", "stream", "kind", "epoch", "offset", "durability", "since", "recovered")
"""Fields of a STREAM that announces a stream to a subscriber; a few of them have others as well."""
_ANNOUNCED_NAMES: Final = frozenset(_ANNOUNCED)
_KINDS: Final = {kind.value: kind for kind in Kind}
_DURABILITIES: Final = {durability.value: durability for durability in Durability}


def fields_of(message: SessionMessage) -> dict[str, Any]:
    """Return the JSON body of a message, as a dict that ``orjson`` writes."""
    cls = type(message)
    nullable = _NULLABLE.get(cls, "")
    fields: dict[str, Any] = {}
    for name in cls.__slots__:
        value = getattr(message, name)
        if value is not None or name == nullable:
            fields[name] = value
    if isinstance(message, Welcome):
        fields["limits"] = _limits_of(message.limits)
    elif isinstance(message, Account) and message.streams is not None:
        fields["streams"] = _counts_of(message.streams)
    elif isinstance(message, Subscribe) and message.account is not None:
        fields["account"] = _counts_of(message.account)
    return fields


def _counts_of(streams: Mapping[str, Counts]) -> dict[str, dict[str, int]]:
    return {
        stream: dict(zip(Counts._fields if counts.client_conflated else _ALWAYS_COUNTED, counts, strict=False))
        for stream, counts in streams.items()
    }


def _limits_of(limits: WelcomeLimits) -> dict[str, int]:
    values = ((name, getattr(limits, name)) for name in WelcomeLimits.__slots__)
    return {name: value for name, value in values if value is not None}


def write_session(message: SessionMessage) -> bytes:
    """Return the frame of a message, with its padding (spec section 2)."""
    body = orjson.dumps(fields_of(message))
    frame_bytes = FRAME_START.size + len(body)
    return FRAME_START.pack(frame_bytes, message.opcode, 0, 0) + body + PADDING[-frame_bytes % 8]


def parse_session(opcode: int, body: Buffer) -> SessionMessage:
    """Read the body of a frame.

    Args:
        opcode: one of :data:`~gateway.protocol.wire.JSON_OPCODES`.
        body: bytes of the frame from offset 8 to ``frame_bytes``; not kept.

    Raises:
        ProtocolViolation: ``BAD_HELLO``, a HELLO cannot be read.
        RequestRefused: ``INVALID_REQUEST``, with the field and the type that was found; a
            :class:`~gateway.protocol.json_body.BodyRefused` if the body could be read in part;
            ``UNKNOWN_MESSAGE_TYPE`` for another opcode.
    """
    try:
        parsed = JsonBody.parse(_name_of(opcode), body)
    except RequestRefused as error:
        if opcode == Opcode.HELLO:
            raise ProtocolViolation(Code.BAD_HELLO, error.message) from None
        raise
    return read_session(opcode, parsed)


def read_session(opcode: int, body: JsonBody) -> SessionMessage:
    """Read a body that is parsed already, as :func:`parse_session` does."""
    _name_of(opcode)
    try:
        return _READERS[opcode](body)
    except RequestRefused as error:
        if opcode == Opcode.HELLO:
            raise ProtocolViolation(Code.BAD_HELLO, error.message) from None
        more = None if opcode != Opcode.SUBSCRIBE else body.get("more") is True
        raise BodyRefused(error.code, error.message, body.integers_found(_ANSWERS), more=more) from None


def _name_of(opcode: int) -> str:
    if opcode not in _READERS:
        raise RequestRefused(Code.UNKNOWN_MESSAGE_TYPE, f"opcode {opcode:#04x} has no JSON body")
    return Opcode(opcode).name


def _read_hello(body: JsonBody) -> Hello:
    client_id = body.text_or_none("client_id")
    return Hello(
        versions=body.integers("versions"),
        client_type=body.choice("client_type", ClientType),
        client_id=None if client_id is None else check_client_id(client_id),
        token=body.text_or_none("token"),
        agent=in_one_line((body.text_or_none("agent") or "")[:MAX_AGENT_CHARS]),
        codecs=body.texts("codecs"),
        filters=body.texts("filters"),
        max_message_bytes=body.integer_or_none("max_message_bytes"),
        instance=body.integer_or_none("instance", EXACT_MAX),
        generation=body.integer_or_none("generation", EXACT_MAX),
        credits=body.boolean_or_none("credits"),
        chunk_advice=body.boolean_or_none("chunk_advice"),
    )


def _read_welcome(body: JsonBody) -> Welcome:
    limits = body.nested("limits")
    return Welcome(
        version=body.integer("version"),
        client_id=ClientId(body.text("client_id")),
        session=body.text("session"),
        peer=body.integer("peer", U32_MAX),
        codecs=body.texts("codecs"),
        filters=body.texts("filters"),
        limits=WelcomeLimits(
            max_frame_bytes=limits.integer("max_frame_bytes"),
            max_message_bytes=limits.integer("max_message_bytes"),
            chunk_bytes=limits.integer("chunk_bytes"),
            max_unfinished_bytes=limits.integer_or_none("max_unfinished_bytes"),
            max_aliases=limits.integer_or_none("max_aliases", U32_MAX),
        ),
        heartbeat_interval_s=body.number("heartbeat_interval_s"),
        time_ns=body.integer("time_ns"),
        agent=body.text_or_none("agent") or "",
        generation=body.integer_or_none("generation", EXACT_MAX),
        credits=body.boolean_or_none("credits"),
    )


def _read_stream(body: JsonBody) -> StreamInfo:
    info = _read_announcement(body)
    if info is not None:
        return info
    stream = body.text("stream")
    alias = body.integer_or_none("alias", U32_MAX)
    if "id" not in body:
        return StreamInfo(None, stream, alias=alias)
    return StreamInfo(
        id=body.integer("id", U32_MAX),
        stream=stream,
        kind=body.choice("kind", Kind),
        epoch=body.integer("epoch", EXACT_MAX),
        offset=body.integer("offset"),
        alias=alias,
        durability=body.choice_or_none("durability", Durability),
        schema=body.mapping_or_none("schema"),
        subscription=body.integer_or_none("subscription", U32_MAX),
        since=body.integer_or_none("since"),
        recovered=body.boolean_or_none("recovered"),
        observed=body.boolean_or_none("observed"),
        ended=body.text_or_none("ended"),
        lowered=body.boolean_or_none("lowered"),
    )


def _read_announcement(body: JsonBody) -> StreamInfo | None:
    """Read a STREAM as most are; return None for any other one, and for one that is wrong.

    A subscriber to everything gets one for each stream: 5 us in this way, 11 us field by field (CPython 3.11).
    """
    fields = body.fields_if(_ANNOUNCED_NAMES)
    if fields is None:
        return None
    number, stream, kind, epoch, offset, durability, since, recovered = map(fields.get, _ANNOUNCED)
    if (
        type(number) is type(epoch) is type(offset) is type(since) is int
        and type(stream) is type(kind) is type(durability) is str
        and 0 <= number <= U32_MAX
        and 0 <= epoch <= EXACT_MAX
        and 0 <= offset <= U64_MAX
        and 0 <= since <= U64_MAX
        and (recovered is None or type(recovered) is bool)
        and kind in _KINDS
        and durability in _DURABILITIES
    ):
        return StreamInfo(
            number, stream, _KINDS[kind], epoch, offset, None, _DURABILITIES[durability], None, None, since, recovered
        )
    return None


def _read_open(body: JsonBody) -> Open:
    return Open(
        alias=body.integer("alias", U32_MAX),
        stream=body.text("stream"),
        kind=body.choice_or_none("kind", Kind),
        durability=body.choice_or_none("durability", Durability),
        schema=body.mapping_or_none("schema"),
        producer=body.integer_or_none("producer", EXACT_MAX),
        sequence=body.integer_or_none("sequence", minimum=1),
    )


def _read_subscribe(body: JsonBody) -> Subscribe:
    credits = body.nested("credits") if "credits" in body else None
    return Subscribe(
        request=_request(body),
        subscription=_subscription(body),
        pattern=body.text("pattern"),
        since=_read_since(body),
        view=body.mapping_or_none("view"),
        credits=None if credits is None else Credits(credits.integer("messages", U32_MAX), credits.integer("bytes")),
        resume=_read_pairs(body, "resume", U32_MAX, U32_MAX) if "resume" in body else None,
        account=_read_counts(body, "account"),
        observe=body.boolean_or_none("observe"),
        more=body.boolean_or_none("more"),
        lower=body.mapping_or_none("lower"),
    )


def _read_since(body: JsonBody) -> Since | None:
    match body.get("since"):
        case None:
            return None
        case str():
            if (text := body.text("since")) != BEGINNING:
                raise RequestRefused(
                    Code.INVALID_REQUEST, f"since {text[:40]!r} must be {BEGINNING!r}, an offset or an object"
                )
            return text
        case dict():
            return _read_pairs(body, "since", EXACT_MAX, U64_MAX)
        case _:
            return body.integer("since")


def _read_pairs(body: JsonBody, name: str, first_max: int, second_max: int) -> dict[str, tuple[int, int]]:
    """Read an object whose values are pairs of integers."""
    fields = body.nested(name)
    pairs: dict[str, tuple[int, int]] = {}
    for key, found in fields.items():
        # There may be thousands of them: 0.2 us each, and 0.9 us by the checks below (CPython 3.11, November 2026).
        if type(found) is list and len(found) == 2:
            first, second = found
            if type(first) is type(second) is int and 0 <= first <= first_max and 0 <= second <= second_max:
                pairs[key] = first, second
                continue
        values = fields.integers(key)
        if len(values) != 2 or values[0] > first_max or values[1] > second_max:
            raise RequestRefused(
                Code.INVALID_REQUEST,
                f"{name} of {key[:80]!r} must be two integers up to {first_max} and {second_max}, met {values[:3]}",
            )
        pairs[key] = values[0], values[1]
    return pairs


def _read_counts(body: JsonBody, name: str) -> Mapping[str, Counts] | None:
    if name not in body:
        return None
    streams = body.nested(name)
    read: dict[str, Counts] = {}
    for stream, found in streams.items():
        if type(found) is dict:  # the same shortcut as for pairs
            values = [found.get(field, 0) for field in Counts._fields]
            if {*map(type, values)} == _INTEGERS_ONLY and min(values) >= 0 and max(values) <= U64_MAX:
                read[stream] = Counts._make(values)
                continue
        counts = streams.nested(stream)
        read[stream] = Counts(*[counts.integer_or_none(field) or 0 for field in Counts._fields])
    return read


def _read_notice(body: JsonBody) -> Notice:
    stream = body.text_or_none("stream")
    # About the connection or its way of publishing, and not about messages.
    is_advice = stream is None or body.get("code") == Code.CHUNKS_ADVISED
    return Notice(
        stream=stream,
        first=None if is_advice else body.integer("first"),
        last=None if is_advice else body.integer("last"),
        code=body.integer("code", U32_MAX),
        reason=body.text("reason"),
        client_id=body.text_or_none("client_id"),
        subscription=body.integer_or_none("subscription", U32_MAX),
        chunk_bytes=body.integer_or_none("chunk_bytes", U32_MAX),
    )


def _read_error(body: JsonBody) -> Error:
    return Error(
        code=body.integer("code", U32_MAX),
        error=body.text("error"),
        message=body.text("message"),
        request=_request(body) if "request" in body else None,
        alias=body.integer_or_none("alias", U32_MAX),
        sequence=body.integer_or_none("sequence"),
        count=body.integer_or_none("count", U32_MAX),
        correlation=body.integer_or_none("correlation"),
        stream=body.text_or_none("stream"),
        transfer=body.integer_or_none("transfer", U32_MAX),
        subscription=body.integer_or_none("subscription", U32_MAX),
        peer=body.integer_or_none("peer", U32_MAX),
        retry_after_s=body.number_or_none("retry_after_s"),
    )


def _request(body: JsonBody) -> int:
    return body.integer("request", EXACT_MAX)


def _subscription(body: JsonBody) -> int:
    return body.integer("subscription", U32_MAX)


_READERS: Final[dict[int, Callable[[JsonBody], SessionMessage]]] = {
    Opcode.HELLO: _read_hello,
    Opcode.WELCOME: _read_welcome,
    Opcode.AUTHENTICATE: lambda body: Authenticate(_request(body), body.text("token")),
    Opcode.AUTHENTICATED: lambda body: Authenticated(_request(body), body.number_or_none("expires_s")),
    Opcode.OPEN: _read_open,
    Opcode.STREAM: _read_stream,
    Opcode.SUBSCRIBE: _read_subscribe,
    Opcode.SUBSCRIBED: lambda body: Subscribed(_request(body), _subscription(body), body.integer_or_none("positions")),
    Opcode.UNSUBSCRIBE: lambda body: Unsubscribe(_request(body), _subscription(body), body.boolean_or_none("keep")),
    Opcode.UNSUBSCRIBED: lambda body: Unsubscribed(_request(body), _subscription(body)),
    Opcode.DELETE: lambda body: Delete(_request(body), body.text("pattern")),
    Opcode.DELETED: lambda body: Deleted(_request(body), body.texts("streams"), body.boolean_or_none("more")),
    Opcode.ERROR: _read_error,
    Opcode.GO_AWAY: lambda body: GoAway(
        body.integer("code", U32_MAX),
        body.text("reason"),
        body.number("deadline_s"),
        body.number_or_none("reconnect_after_s"),
        body.text_or_none("address"),
    ),
    Opcode.REFRESH: lambda body: Refresh(body.integer("stream", U32_MAX)),
    Opcode.NOTICE: _read_notice,
    Opcode.ACCOUNT: lambda body: Account(
        _request(body), _subscription(body), _read_counts(body, "streams"), body.boolean_or_none("more")
    ),
    Opcode.ATTEND: read_attend,
    Opcode.ATTENDING: read_attending,
    Opcode.AWARENESS: read_awareness,
    Opcode.MEMBERS: read_members,
}
