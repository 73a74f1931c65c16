"""The messages with a JSON body: hello, subscriptions, errors and so on (spec sections 3, 4, 7 and 12.2).

Field names are those of the JSON. Binary frames and the JSON subprotocol share these classes;
:mod:`gateway.protocol.session_body` reads and writes them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from gateway.errors import PeerError, name_of
from gateway.ids import ClientId
from gateway.protocol.durability import Durability
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.limits import Limits
from gateway.protocol.wire import Opcode

BEGINNING = "beginning"
"""``since`` of a SUBSCRIBE that wants everything that history holds (spec section 4.3)."""

Position = tuple[int, int]
"""Epoch and next offset: where a receiver stands in a stream."""

Since = str | int | Mapping[str, Position]
"""Where a subscription starts: :data:`BEGINNING`, an offset, or a position for each stream by name."""


class ClientType(enum.StrEnum):
    """What a client is (spec section 3.1)."""

    ADMIN_PANEL = "admin_panel"
    WORKFLOW = "workflow"
    AGENT = "agent"
    EXTENSION = "extension"


class Kind(enum.StrEnum):
    """The delivery contract of a stream (spec section 4).

    Attributes:
        acknowledged: receivers say what they have processed, and get again what they have not (spec section 7.4).
    """

    acknowledged: bool

    STATE = "state"
    EVENT = "event"
    COLLABORATION = "collaboration"
    CONTROL = "control"

    def __init__(self, value: str) -> None:
        self.acknowledged = value in ("collaboration", "control")


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
    max_unfinished_bytes: int | None = None
    """Payloads of the large messages that a client has begun and not finished; absent: not told."""

    @classmethod
    def of(cls, limits: Limits) -> WelcomeLimits:
        """The part of ``limits`` that is told to clients."""
        return cls(limits.max_frame_bytes, limits.max_message_bytes, limits.chunk_bytes, limits.max_unfinished_bytes)


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
    durability: Durability | None = None
    schema: Mapping[str, Any] | None = None
    """What a ``state`` stream holds, as it stands in the JSON."""
    producer: int | None = None
    """Who counts the sequences, over all its connections."""
    sequence: int | None = None
    """Of the next message; absent: 1."""


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
    durability: Durability | None = None
    schema: Mapping[str, Any] | None = None
    subscription: int | None = None
    """Of a view: the subscription that asked for it; ``id`` is the view's."""
    since: int | None = None
    """To a subscriber: the first offset that it will get."""
    recovered: bool | None = None
    """To a subscriber that named a position: whether it gets everything from there on."""


@dataclass(frozen=True, slots=True)
class Credits:
    """How much a receiver takes before it grants more (spec section 7.5)."""

    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The account of one stream of a subscription (spec section 7.7)."""

    delivered: int = 0
    conflated: int = 0
    dropped: int = 0
    replayed: int = 0
    expired: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Asks for the streams that match a pattern (spec section 4.2)."""

    opcode: ClassVar = Opcode.SUBSCRIBE

    request: int
    subscription: int
    pattern: str
    since: Since | None = None
    view: Mapping[str, Any] | None = None
    """A view as it stands in the JSON."""
    credits: Credits | None = None
    resume: Mapping[str, tuple[int, int]] | None = None
    """By stream, a large message that was being received: its transfer and the first chunk that is missing."""
    account: Mapping[str, Counts] | None = None
    """What the subscription counted on earlier connections, by stream."""


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
    keep: bool | None = None
    """What is not acknowledged is kept for the client, as if its connection were lost; otherwise it is given up."""


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
    subscription: int | None = None
    peer: int | None = None

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


@dataclass(frozen=True, slots=True)
class Refresh:
    """Asks for the newest state of a stream, whole (spec section 4.4)."""

    opcode: ClassVar = Opcode.REFRESH

    stream: int


@dataclass(frozen=True, slots=True)
class Notice:
    """What became of messages that this client has published (spec section 7.6)."""

    opcode: ClassVar = Opcode.NOTICE

    stream: str
    first: int
    last: int
    code: int
    reason: str
    client_id: str | None = None
    """The receiver that it concerns."""


@dataclass(frozen=True, slots=True)
class Account:
    """Asks for the account of a subscription, and answers (spec section 7.7)."""

    opcode: ClassVar = Opcode.ACCOUNT

    request: int
    subscription: int
    streams: Mapping[str, Counts] | None = None
    """In the answer: by stream."""


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
    | Refresh
    | Notice
    | Account
)
