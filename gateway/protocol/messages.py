"""The messages with a JSON body: hello, subscriptions, errors and so on (spec sections 3, 4 and 12.2).

Field names are those of the JSON. Knows types and ranges of fields; not whether a name is legal or a message expected.
Binary frames and the JSON subprotocol share these classes: the first through :func:`parse_session` and
:func:`write_session`, the second through :func:`read_session` and :func:`fields_of`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import orjson

from gateway.errors import Code, PeerError, ProtocolViolation, RequestRefused, name_of
from gateway.ids import ClientId
from gateway.protocol.json_body import EXACT_MAX, U32_MAX, BodyRefused, JsonBody
from gateway.protocol.limits import Limits
from gateway.protocol.names import check_client_id
from gateway.protocol.wire import FRAME_START, PADDING, Buffer, Opcode


class ClientType(enum.StrEnum):
    """What a client is (spec section 3.1)."""

    ADMIN_PANEL = "admin_panel"
    WORKFLOW = "workflow"
    AGENT = "agent"
    EXTENSION = "extension"


class Kind(enum.StrEnum):
    """The delivery contract of a stream (spec section 4)."""

    STATE = "state"
    EVENT = "event"
    COLLABORATION = "collaboration"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Hello:
    """The client's first frame (spec section 3.1)."""

    opcode: ClassVar = Opcode.HELLO

    versions: tuple[int, ...]
    client_type: ClientType
    client_id: ClientId | None = None
    token: str | None = None
    agent: str = ""
    codecs: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    max_message_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class WelcomeLimits:
    """The limits of the server that a client has to know (spec section 3.1)."""

    max_frame_bytes: int
    max_message_bytes: int
    chunk_bytes: int

    @classmethod
    def of(cls, limits: Limits) -> WelcomeLimits:
        """The part of ``limits`` that is told to clients."""
        return cls(limits.max_frame_bytes, limits.max_message_bytes, limits.chunk_bytes)


@dataclass(frozen=True, slots=True)
class Welcome:
    """The server's answer to HELLO (spec section 3.1)."""

    opcode: ClassVar = Opcode.WELCOME

    version: int
    client_id: ClientId
    session: str
    peer: int
    codecs: tuple[str, ...]
    filters: tuple[str, ...]
    limits: WelcomeLimits
    heartbeat_interval_s: float
    time_ns: int
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Replaces the token of a running session (spec section 3.2)."""

    opcode: ClassVar = Opcode.AUTHENTICATE

    request: int
    token: str


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The new token is good (spec section 3.2). ``expires_s`` None: it does not expire."""

    opcode: ClassVar = Opcode.AUTHENTICATED

    request: int
    expires_s: float | None


@dataclass(frozen=True, slots=True)
class Open:
    """Declares the alias of a stream or address (spec section 4.1)."""

    opcode: ClassVar = Opcode.OPEN

    alias: int
    stream: str
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """STREAM: what a stream's id stands for (spec section 4.1). For an address all but name and alias are None."""

    opcode: ClassVar = Opcode.STREAM

    id: int | None
    stream: str
    kind: Kind | None = None
    epoch: int | None = None
    offset: int | None = None
    alias: int | None = None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Asks for the streams that match a pattern (spec section 4.2)."""

    opcode: ClassVar = Opcode.SUBSCRIBE

    request: int
    subscription: int
    pattern: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The subscription stands (spec section 4.2)."""

    opcode: ClassVar = Opcode.SUBSCRIBED

    request: int
    subscription: int


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Ends a subscription (spec section 4.2)."""

    opcode: ClassVar = Opcode.UNSUBSCRIBE

    request: int
    subscription: int


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The subscription has ended (spec section 4.2)."""

    opcode: ClassVar = Opcode.UNSUBSCRIBED

    request: int
    subscription: int


@dataclass(frozen=True, slots=True)
class Error:
    """Something was refused (spec section 12.2). The fields after ``message`` say what it answers.

    ``code`` may be one that this version does not know; ``stream`` is a stream's name.
    """

    opcode: ClassVar = Opcode.ERROR

    code: int
    error: str
    message: str
    request: int | None = None
    alias: int | None = None
    sequence: int | None = None
    count: int | None = None
    correlation: int | None = None
    stream: str | None = None
    transfer: int | None = None

    @classmethod
    def of(cls, refusal: PeerError, **answers: Any) -> Error:
        """The ERROR that tells the other side about ``refusal``.

        Args:
            answers: fields after ``message``; they win over those that the refusal itself names.
        """
        if isinstance(refusal, BodyRefused):
            answers = {**refusal.answers, **answers}
        return cls(refusal.code, name_of(refusal.code), refusal.message, **answers)


@dataclass(frozen=True, slots=True)
class GoAway:
    """The server will close this connection (spec section 3.3)."""

    opcode: ClassVar = Opcode.GO_AWAY

    code: int
    reason: str
    deadline_s: float


SessionMessage = (
    Hello
    | Welcome
    | Authenticate
    | Authenticated
    | Open
    | StreamInfo
    | Subscribe
    | Subscribed
    | Unsubscribe
    | Unsubscribed
    | Error
    | GoAway
)

# Numbers by which the sender of a message recognizes the answer to it.
_ANSWERS: Final = {"request": EXACT_MAX, "alias": U32_MAX}
# Fields that are written as null; every other one is left out when it is None.
_NULLABLE: Final = frozenset({(Hello, "token"), (Authenticated, "expires_s"), (StreamInfo, "id")})


def fields_of(message: SessionMessage) -> dict[str, Any]:
    """The JSON body of a message, as a dict that ``orjson`` writes."""
    cls = type(message)
    values = ((name, getattr(message, name)) for name in cls.__slots__)
    return {name: value for name, value in values if value is not None or (cls, name) in _NULLABLE}


def write_session(message: SessionMessage) -> bytes:
    """The frame of a message, with its padding (spec section 2)."""
    body = orjson.dumps(fields_of(message))
    frame_bytes = FRAME_START.size + len(body)
    return FRAME_START.pack(frame_bytes, message.opcode, 0, 0) + body + PADDING[-frame_bytes % 8]


def parse_session(opcode: int, body: Buffer) -> SessionMessage:
    """Read the body of a frame.

    Args:
        opcode: one of :data:`~gateway.protocol.wire.JSON_OPCODES`.
        body: the frame from offset 8 to ``frame_bytes``; not kept.

    Raises:
        ProtocolViolation: ``BAD_HELLO``, if it is a HELLO.
        RequestRefused: ``INVALID_REQUEST``, with the field and what it met; a :class:`BodyRefused` if the body could be
            read in part; ``UNKNOWN_MESSAGE_TYPE`` for another opcode.
    """
    try:
        parsed = JsonBody.parse(_name_of(opcode), body)
    except RequestRefused as error:
        if opcode == Opcode.HELLO:
            raise ProtocolViolation(Code.BAD_HELLO, error.message) from None
        raise
    return read_session(opcode, parsed)


def read_session(opcode: int, body: JsonBody) -> SessionMessage:
    """As :func:`parse_session`, of a body that is parsed already."""
    _name_of(opcode)
    try:
        return _READERS[opcode](body)
    except RequestRefused as error:
        if opcode == Opcode.HELLO:
            raise ProtocolViolation(Code.BAD_HELLO, error.message) from None
        raise BodyRefused(error.code, error.message, body.integers_found(_ANSWERS)) from None


def _name_of(opcode: int) -> str:
    if opcode not in _READERS:
        raise RequestRefused(Code.UNKNOWN_MESSAGE_TYPE, f"{opcode:#04x} is no opcode of a JSON body")
    return Opcode(opcode).name


def _read_hello(body: JsonBody) -> Hello:
    client_id = body.text_or_none("client_id")
    return Hello(
        versions=body.integers("versions"),
        client_type=body.choice("client_type", ClientType),
        client_id=None if client_id is None else check_client_id(client_id),
        token=body.text_or_none("token"),
        agent=body.text_or_none("agent") or "",
        codecs=body.texts("codecs"),
        filters=body.texts("filters"),
        max_message_bytes=body.integer_or_none("max_message_bytes"),
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
        ),
        heartbeat_interval_s=body.number("heartbeat_interval_s"),
        time_ns=body.integer("time_ns"),
        agent=body.text_or_none("agent") or "",
    )


def _read_stream(body: JsonBody) -> StreamInfo:
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
    Opcode.OPEN: lambda body: Open(
        body.integer("alias", U32_MAX), body.text("stream"), body.choice_or_none("kind", Kind)
    ),
    Opcode.STREAM: _read_stream,
    Opcode.SUBSCRIBE: lambda body: Subscribe(_request(body), _subscription(body), body.text("pattern")),
    Opcode.SUBSCRIBED: lambda body: Subscribed(_request(body), _subscription(body)),
    Opcode.UNSUBSCRIBE: lambda body: Unsubscribe(_request(body), _subscription(body)),
    Opcode.UNSUBSCRIBED: lambda body: Unsubscribed(_request(body), _subscription(body)),
    Opcode.ERROR: _read_error,
    Opcode.GO_AWAY: lambda body: GoAway(body.integer("code", U32_MAX), body.text("reason"), body.number("deadline_s")),
}
