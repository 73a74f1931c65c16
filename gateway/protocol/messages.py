"""Messages with a JSON body: hello, subscriptions, errors and so on (spec sections 3, 4, 7 and 12.2).

Field names are those of the JSON, which :mod:`gateway.protocol.session_body` reads and writes for both subprotocols.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from gateway.errors import PeerError, name_of
from gateway.ids import ClientId
from gateway.protocol.durability import Durability
from gateway.protocol.json_body import BodyRefused
from gateway.protocol.limits import WelcomeLimits
from gateway.protocol.presence import PresenceMessage
from gateway.protocol.wire import Opcode

BEGINNING = "beginning"
"""``since`` of a SUBSCRIBE that wants all messages in history (spec section 4.3)."""

Position = tuple[int, int]
"""Epoch and next offset: position of a receiver in a stream."""

Since = str | int | Mapping[str, Position]
"""Start of a subscription: :data:`BEGINNING`, an offset, or a position for each stream by name."""


class ClientType(enum.StrEnum):
    """Type of a client (spec section 3.1)."""

    ADMIN_PANEL = "admin_panel"
    WORKFLOW = "workflow"
    AGENT = "agent"
    EXTENSION = "extension"


class Kind(enum.StrEnum):
    """Delivery contract of a stream (spec section 4).

    Attributes:
        acknowledged: receivers acknowledge processed messages and get the others again (spec section 7.4).
    """

    acknowledged: bool

    STATE = "state"
    EVENT = "event"
    COLLABORATION = "collaboration"
    CONTROL = "control"

    def __init__(self, value: str) -> None:
        self.acknowledged = value in ("collaboration", "control")


class EndReason(enum.StrEnum):
    """Reason for which a stream has ended (spec section 4.11)."""

    DELETED = "deleted"
    """A client has deleted the stream."""
    EXPIRED = "expired"
    """The stream was empty, and nobody had it, for as long as its rule says."""
    MADE_ROOM = "made_room"
    """The stream was empty, nobody had it, and another stream was opened that had no room."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of the client (spec section 3.1)."""

    opcode: ClassVar = Opcode.HELLO

    versions: tuple[int, ...]
    client_type: ClientType
    client_id: ClientId | None = None
    token: str | None = field(default=None, repr=False)
    agent: str = ""
    codecs: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    max_message_bytes: int | None = None
    instance: int | None = None
    """Number that the client's program has drawn at random: the same after a reconnect, another after a restart."""
    generation: int | None = None
    """Generation that an earlier WELCOME has told the client; absent: it has not been connected before."""
    credits: bool | None = None
    """Whether the client grants credit for streams of all kinds (spec section 7.5)."""
    chunk_advice: bool | None = None
    """Whether the client cuts the large messages of a stream by the size that NOTICE advises (spec section 7.6)."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """Answer of the server to HELLO (spec section 3.1)."""

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
    generation: int | None = None
    """Generation of the client's program: higher for one that came later; absent if the server does not tell."""
    credits: bool | None = None
    """Whether ``credits`` of a subscription count for streams of all kinds (spec section 7.5)."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Request to replace the token of a running session (spec section 3.2)."""

    opcode: ClassVar = Opcode.AUTHENTICATE

    request: int
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Acceptance of the new token (spec section 3.2). ``expires_s`` None: the token does not expire."""

    opcode: ClassVar = Opcode.AUTHENTICATED

    request: int
    expires_s: float | None


@dataclass(frozen=True, slots=True)
class Open:
    """Declaration of the alias of a stream or address (spec section 4.1)."""

    opcode: ClassVar = Opcode.OPEN

    alias: int
    stream: str
    kind: Kind | None = None
    durability: Durability | None = None
    schema: Mapping[str, Any] | None = None
    """Schema of a ``state`` stream, as in the JSON."""
    producer: int | None = None
    """Producer that counts the sequences, over all its connections."""
    sequence: int | None = None
    """Sequence of the next message; absent: 1."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """STREAM: id and properties of a stream (spec section 4.1). An address has name and alias only."""

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
    """Subscription that asked for the view, or observes the stream, by this ``id``; None: patterns decide."""
    since: int | None = None
    """First offset that the subscriber will get."""
    recovered: bool | None = None
    """True if a subscriber that named a position gets every message from there on; None if it named none."""
    observed: bool | None = None
    """True if ``subscription`` observes the acknowledged stream, whose messages it gets by this ``id``."""
    ended: str | None = None
    """Reason for which the stream has ended, one of :class:`EndReason` or another; None: it has not."""
    lowered: bool | None = None
    """Whether ``subscription`` gets its lower view by this ``id``; None: it has named none."""


@dataclass(frozen=True, slots=True)
class Credits:
    """Messages and bytes that a receiver takes before it grants more (spec section 7.5)."""

    messages: int
    bytes: int


class Counts(NamedTuple):
    """Account of one stream of a subscription (spec section 7.7)."""

    delivered: int = 0
    conflated: int = 0
    dropped: int = 0
    replayed: int = 0
    expired: int = 0
    client_conflated: int = 0
    """Delivered messages that the client's library conflated, as it has reported (spec section 7.9)."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Request for the streams that match a pattern (spec section 4.2)."""

    opcode: ClassVar = Opcode.SUBSCRIBE

    request: int
    subscription: int
    pattern: str
    since: Since | None = None
    view: Mapping[str, Any] | None = None
    """View, as in the JSON."""
    credits: Credits | None = None
    resume: Mapping[str, tuple[int, int]] | None = None
    """Large message that was being received, by stream: its transfer and the first chunk that is missing."""
    account: Mapping[str, Counts] | None = None
    """Counts of the subscription on earlier connections, by stream."""
    observe: bool | None = None
    """True takes the messages of acknowledged streams without owing an answer; None leaves that to the server."""
    more: bool | None = None
    """True: the rest of ``since``, ``resume`` and ``account`` follows in further SUBSCRIBEs of the same request."""
    lower: Mapping[str, Any] | None = None
    """View that may be sent while the connection cannot take ``view``, as in the JSON."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """Confirmation of a subscription (spec section 4.2)."""

    opcode: ClassVar = Opcode.SUBSCRIBED

    request: int
    subscription: int
    positions: int | None = None
    """Streams named by an object as ``since`` that exist in the epoch that was named; ``None``: none were named."""


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Request to end a subscription (spec section 4.2)."""

    opcode: ClassVar = Opcode.UNSUBSCRIBE

    request: int
    subscription: int
    keep: bool | None = None
    """True keeps unacknowledged messages for the client, as after a lost connection; otherwise they are given up."""


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """Confirmation that a subscription has ended (spec section 4.2)."""

    opcode: ClassVar = Opcode.UNSUBSCRIBED

    request: int
    subscription: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Request to end streams (spec section 4.11)."""

    opcode: ClassVar = Opcode.DELETE

    request: int
    pattern: str
    """Name of a stream, or a pattern of several."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """Confirmation that streams have ended (spec section 4.11)."""

    opcode: ClassVar = Opcode.DELETED

    request: int
    streams: tuple[str, ...]
    """The streams, by name."""
    more: bool | None = None
    """True if further streams match, which another request ends."""


@dataclass(frozen=True, slots=True)
class Error:
    """Refusal of a message or request, named by the fields after ``message`` (spec section 12.2)."""

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
    retry_after_s: float | None = None

    @classmethod
    def of(cls, refusal: PeerError, **answers: Any) -> Error:
        """Return the ERROR that tells the other side about ``refusal``.

        Args:
            refusal: the refusal, or the violation that closes the connection.
            answers: fields after ``message``; they win over the fields that the refusal itself names.
        """
        if isinstance(refusal, BodyRefused):
            answers = {**refusal.answers, **answers}
        return cls(refusal.code, name_of(refusal.code), refusal.message, retry_after_s=refusal.retry_after_s, **answers)


@dataclass(frozen=True, slots=True)
class GoAway:
    """Notice that the server will close this connection (spec section 3.3)."""

    opcode: ClassVar = Opcode.GO_AWAY

    code: int
    reason: str
    deadline_s: float
    reconnect_after_s: float | None = None
    """Seconds behind the close after which the client is to connect again; ``None``: the server does not say."""
    address: str | None = None
    """URL of the gateway to which the client is to go then; ``None``: the server names none."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Request for a keyframe: the newest state of a stream, complete (spec section 4.4)."""

    opcode: ClassVar = Opcode.REFRESH

    stream: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Fate of messages that this client has published; of its connection if no stream is named (spec section 7.6)."""

    opcode: ClassVar = Opcode.NOTICE

    stream: str | None
    first: int | None
    last: int | None
    code: int
    reason: str
    client_id: str | None = None
    subscription: int | None = None
    """Subscription whose view has changed."""
    chunk_bytes: int | None = None
    """Size of chunks that ``CHUNKS_ADVISED`` advises for the stream; absent: that of WELCOME."""


@dataclass(frozen=True, slots=True)
class Account:
    """Request for the account of a subscription, and the answer (spec section 7.7)."""

    opcode: ClassVar = Opcode.ACCOUNT

    request: int
    subscription: int
    streams: Mapping[str, Counts] | None = None
    """Counts by stream; in the answer only."""
    more: bool | None = None
    """True: further answers to the same request follow with the other streams."""


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
    | Delete
    | Deleted
    | Error
    | GoAway
    | Refresh
    | Notice
    | Account
    | PresenceMessage
)
