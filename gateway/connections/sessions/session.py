"""Session: a connection, its client, and everything that the client has under way at the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.connections.fanout.fanout import ChunkSink, Fanout
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delivery_accounts import SubscribeOptions
from gateway.connections.outbound.no_entries import NO_ENTRIES, with_entry
from gateway.connections.outbound.peer import Peer
from gateway.connections.ports import Grant
from gateway.connections.sessions.backlog import Backlog
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.connections.sessions.exchange import Exchange
from gateway.connections.sessions.grant import NOTHING
from gateway.connections.sessions.outstanding_requests import ConnectionRequests
from gateway.connections.slices import Slices
from gateway.errors import Code, PeerError, ProtocolViolation, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.dtypes import BYTE, DTypeLike
from gateway.protocol.messages import ClientType, Error
from gateway.protocol.names import Pattern
from gateway.protocol.schema import Schema
from gateway.protocol.state import State
from gateway.protocol.views import View
from gateway.streams.large import LargeMessage
from gateway.streams.producers import Window
from gateway.streams.stream import Stream

_NO_FRAME = 2**32
"""Longer than any frame, so that the next message goes through all checks."""

MAX_UNREADABLE: Final = 1024
"""Messages in a row that cannot be read, after which the connection is closed: no honest client sends so many."""

NEVER: Final = -(2**40)
"""Tick before all others."""

_MAX_REASON_BYTES = 120
"""A close frame has room for 123 bytes of UTF-8 (RFC 6455, section 5.5.1)."""


@dataclass(slots=True, eq=False)
class AliasBinding:
    """Binding of one alias of a connection to a stream or an address, made by OPEN."""

    alias: int
    """Client's number for the alias."""
    name: str
    """Name of the stream, or the address."""
    peer: int
    """Number of the connection."""
    stream: Stream | None = None
    """The stream; ``None`` for an address, or if the OPEN was refused."""
    fanout: Fanout | None = None
    """Receivers of the stream."""
    refusal: RequestRefused | None = None
    """Reason why messages to the alias are refused; ``None`` if they are taken."""
    next_sequence: int = 1
    """Sequence that the next message must have; of a producer, the lowest that it may have."""
    window: Window | None = None
    """Messages of the producer that OPEN named; ``None`` if it named none."""
    transfer: int | None = None
    """Client's number of the large message that is under way to the alias."""
    meta: bytes = b""
    """The last meta block without headers that was found valid."""
    frame_bytes: int = _NO_FRAME
    """Length of the frame that had it, without padding; of no frame if the next message has to be looked at closely."""
    element: DTypeLike = BYTE
    """Dtype of the elements of these messages."""
    schema: Schema | None = None
    """Schema of the stream when that meta block was checked."""
    counted: tuple[int, int, int] = (0, 0, 0)
    """Values of ``next_sequence``, and of next offset and published bytes of the stream, up to which the collaboration
    graph has counted the messages to the alias."""
    exchange: Exchange | None = None
    """Requests to the address, and replies to them; ``None`` for a stream."""
    takes_part: bool = False
    """Whether the connection counts as one of the workflow for this alias."""
    released: bool = False
    """True once the connection is gone, or the alias is bound anew: outcomes that come later do not name it."""

    def superseded(self) -> None:
        """Refuse further messages to the alias (:class:`~gateway.streams.producers.Holder`)."""
        problem = f"the producer has opened {self.name} again since: publish to the newer alias"
        self.refusal = RequestRefused(Code.BAD_SEQUENCE, problem)
        self.frame_bytes = _NO_FRAME

    def begin_transfer(self, transfer: int) -> None:
        """Take note of a large message, which begins: until it ends, no other message is taken."""
        self.transfer = transfer
        self.frame_bytes = _NO_FRAME

    @property
    def ended(self) -> bool:
        """Whether its stream has ended."""
        return self.stream is not None and self.stream.ended is not None

    def end(self, refusal: RequestRefused) -> None:
        """Refuse further messages to the alias: its stream has ended."""
        self.refusal = refusal
        self.stream = self.fanout = self.window = self.schema = None
        self.frame_bytes = _NO_FRAME


@dataclass(slots=True, eq=False)
class Upload:
    """Large message on its way in."""

    session: Session | None
    """Session that sends it; ``None`` while it waits for its producer to reconnect."""
    transfer: int
    """Client's number for it."""
    client_id: ClientId
    """Client that sends it."""
    codecs: frozenset[str]
    """Codecs that its chunks may use."""
    message: LargeMessage
    """The message, with the chunks that have been received."""
    sink: ChunkSink
    """Delivery of its chunks and its end."""
    element: DTypeLike
    """Dtype of the elements, for codecs."""
    correlation: int | None = None
    """Correlation of a request or a reply; ``None`` for a message to a stream."""
    window: Window | None = None
    """Window of the producer that sends it; ``None`` if no producer was named."""
    binding: AliasBinding | None = None
    """Alias that it is published to; ``None`` for a request or a reply."""
    sequence: int = 0
    """Sequence that an acknowledgement names."""
    ack: bool = False
    """Whether the publisher wants an acknowledgement."""
    asker_peer: int | None = None
    """Peer that a reply is for."""
    done: Callable[[], object] | None = None
    """Called when a request or a reply is complete."""
    undo: Callable[[], object] | None = None
    """Called if a request or a reply will not be completed."""
    moved_s: float = 0.0
    """Time of its last progress, by the monotonic clock."""
    received_bytes: int = 0
    """Bytes of the chunks that have been received."""


@dataclass(slots=True, eq=False)
class ViewSubscription:
    """A subscription with a view, of all streams that match."""

    pattern: Pattern
    view: View
    lower: View | None = None
    """View that may be sent instead while the connection cannot take that one; ``None``: none may."""
    lowered: bool = False
    """Whether it is."""


@dataclass(slots=True, eq=False)
class Session:
    """A connection, the client behind it, and everything that the client has under way."""

    connection: Connection
    """The way out to the client."""
    slices: Slices
    """Long work of all connections."""
    opened_s: float = 0.0
    """Time at which the connection was opened, by the gateway's monotonic clock."""
    pending: Backlog | None = field(default=None, init=False)
    """Input that is handled in later turns; ``None`` if there is none."""
    peer: Peer = field(init=False)
    """Identity of the client, from its HELLO."""
    grant: Grant = field(default=NOTHING, init=False)
    """Permissions of the client; nothing is permitted before HELLO has been answered."""
    local: bool = field(default=False, init=False)
    """Whether the client is code in the gateway's own process, which has no turn of its own to wait for."""
    buries: bool = field(default=False, init=False)
    """Whether it is the gateway's own, which publishes dead letters; no other session may."""
    claimed: ClientType | None = field(default=None, init=False)
    """Type that the client has claimed before its handshake; ``None``: it has claimed none."""
    bearer: str | None = field(default=None, init=False, repr=False)
    """Token in the head of its handshake, until HELLO is answered; ``None``: there was none."""
    introduced: bool = field(default=False, init=False)
    """Whether the client has said HELLO, and counts as one of its type."""
    state: State = field(default=State.GREETING, init=False)
    """State of the protocol (spec section 3); without meaning once the connection is closed."""
    heard: bool = field(default=True, init=False)
    """Whether any byte came from the client since the heartbeat's last look: a large message may take longer."""
    unreadable: int = field(default=0, init=False)
    """Messages in a row that could not be read: their type does not exist, or a field is wrong."""
    alive_tick: int = field(default=0, init=False)
    """Tick of the heartbeat at which the last sign of life was found; before HELLO, that of the connection."""
    asked_ns: int = field(default=0, init=False)
    """Departure of the heartbeat's ping that is not answered yet, negative if bytes waited in front of it; 0: none."""
    calm: int = field(default=0, init=False)
    """Number of times by which the time between two pings of the heartbeat has been doubled."""
    asked_tick: int = field(default=NEVER, init=False)
    """Tick of the heartbeat at which it has pinged last."""
    idle_since_s: float | None = field(default=None, init=False)
    """Time since which it has had nothing to do, as far as looks have shown; ``None``: it had at the last look."""
    idle_sequences: int = field(default=0, init=False)
    """Sum of the next sequences of its aliases at that time."""
    bindings: dict[int, AliasBinding] = field(default=NO_ENTRIES, init=False)
    """Bindings of the client's aliases, by alias."""
    subscriptions: dict[int, Pattern] = field(default=NO_ENTRIES, init=False)
    """Patterns of subscriptions without a view, by the client's number."""
    credits: dict[int, CreditWindow] = field(default=NO_ENTRIES, init=False)
    """Credit of the subscriptions that take messages of acknowledged streams to work on them, and of all others that
    name credits, by the client's number."""
    observing: frozenset[int] = field(default=frozenset(), init=False)
    """Numbers of those that observe: they take acknowledged streams without acknowledging."""
    views: dict[int, ViewSubscription] = field(default=NO_ENTRIES, init=False)
    """Subscriptions with a view, by the client's number."""
    transfers: dict[int, Upload] = field(default=NO_ENTRIES, init=False)
    """Large messages on their way in, by the client's number."""
    requests: ConnectionRequests = field(init=False)
    """Requests that the client has asked, and requests that it must reply to."""

    def __post_init__(self) -> None:
        self.peer = self.connection.peer
        self.requests = ConnectionRequests(self.connection)

    def introduce(self, peer: Peer) -> None:
        """Set the identity of the client, from its HELLO."""
        self.peer = self.connection.peer = peer

    def add_binding(self, binding: AliasBinding) -> None:
        """Enter the binding of an alias that has none."""
        self.bindings = with_entry(self.bindings, binding.alias, binding)

    def add_subscription(self, number: int, pattern: Pattern) -> None:
        """Enter a subscription without a view."""
        self.subscriptions = with_entry(self.subscriptions, number, pattern)

    def add_view(self, number: int, wanted: ViewSubscription) -> None:
        """Enter a subscription with a view."""
        self.views = with_entry(self.views, number, wanted)

    def add_credit(self, number: int, credit: CreditWindow) -> None:
        """Enter the credit of a subscription."""
        self.credits = with_entry(self.credits, number, credit)

    def add_transfer(self, upload: Upload) -> None:
        """Enter a large message that begins, or goes on, on this connection."""
        self.transfers = with_entry(self.transfers, upload.transfer, upload)

    @property
    def backlog(self) -> Backlog:
        """The backlog, which is made if there is none: to be added to at once."""
        if self.pending is None:
            self.pending = Backlog(self, self.slices)
        return self.pending

    @property
    def lost(self) -> bool:
        """Whether the transport is lost, and what the client sent before is still handled."""
        return self.pending is not None and self.pending.lost

    @property
    def worker_patterns(self) -> list[Pattern]:
        """Patterns of the subscriptions by which the client takes messages of acknowledged streams to work on them."""
        views_and_observers = self.views.keys() | self.observing
        return [self.subscriptions[number] for number in self.credits if number not in views_and_observers]

    @property
    def out_of_credit(self) -> int:
        """Number of subscriptions that name credits and have none left."""
        return sum([credit.granted and not credit.open for credit in self.credits.values()])

    def open_account(self, source: Stream, subscription: int, options: SubscribeOptions, first: int) -> None:
        """Open the account of a stream, view or observed stream, whose messages take credit of the subscription.

        Args:
            source: the stream.
            subscription: the client's number.
            options: start that the subscription asked for.
            first: offset of the first message that it gets.
        """
        connection, credit = self.connection, self.credits.get(subscription)
        connection.accounts.open(source, subscription, options, first)
        if credit is not None and credit.granted and connection.gates is not None:
            connection.gates.add(source, credit)

    def forbidden(self, act: str) -> RequestRefused:
        """Return the refusal of an act, in the words that follow "may not", that the grant does not permit."""
        return RequestRefused(Code.FORBIDDEN, f"{self.peer.client_type} {self.peer.client_id} may not {act}")

    def not_open(self, alias: int, max_aliases: int) -> RequestRefused:
        """Return the refusal of an alias that is not open, or that can not be opened because there are so many."""
        if len(self.bindings) < max_aliases:
            return RequestRefused(Code.UNKNOWN_STREAM, f"alias {alias} was never opened: send OPEN first")
        problem = f"alias {alias} cannot be opened, the connection has max_aliases={max_aliases}"
        return RequestRefused(Code.LIMIT_EXCEEDED, f"{problem}: open one again that has nothing outstanding")

    def refuse(self, refusal: PeerError, **answers: int | str | None) -> None:
        """Answer with ERROR; ``answers`` are the fields that name the refused message (spec section 12.2)."""
        self.connection.send(Error.of(refusal, **answers))

    def refuse_unreadable(self, refusal: RequestRefused, **answers: int | str | None) -> None:
        """Refuse a message that cannot be read, as :meth:`refuse`; close the connection after very many in a row."""
        self.unreadable += 1
        if self.unreadable < MAX_UNREADABLE:
            self.refuse(refusal, **answers)
        else:
            problem = f"{self.unreadable} messages in a row cannot be read; the last: {refusal.message}"
            self.fail(ProtocolViolation(Code.UNEXPECTED_MESSAGE, problem))

    def fail(self, error: PeerError) -> None:
        """Close the connection for a fault of its peer: ERROR for its program, a close code for its transport."""
        connection = self.connection
        if not connection.closed:
            connection.send(Error.of(error))
            code = Code.INTERNAL_ERROR if error.code == Code.INTERNAL else error.code
            connection.close(code, _short(error.message))

    def part(self, error: PeerError) -> None:
        """Close the transport as :meth:`fail` does, but leave what the client has sent to be handled.

        A client that lets its answers pile up gets no ERROR, but the code of the close: it decides about a reconnect.
        """
        if self.connection.takes_urgent:
            self.connection.send(Error.of(error))
        self.connection.transport.close(error.code, _short(error.message))


def _short(reason: str) -> str:
    """Return as much of a reason as a close frame has room for."""
    return reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
