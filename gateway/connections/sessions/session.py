"""What one connection has under way towards the gateway: what it publishes to, asks for, and owes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.connections.fanout.fanout import Fanout
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.peer import Peer
from gateway.connections.ports import Grant
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.connections.sessions.grant import NOTHING
from gateway.connections.sessions.outstanding_requests import ConnectionRequests
from gateway.errors import Code, PeerError, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.messages import Error
from gateway.protocol.names import Pattern
from gateway.protocol.schema import Schema
from gateway.protocol.state import State
from gateway.protocol.views import View
from gateway.streams.large import LargeMessage
from gateway.streams.producers import Window
from gateway.streams.stream import Stream

_NO_PAYLOAD = 2**32
"""No frame is as long: the next message goes through all checks."""

_MAX_REASON_BYTES = 120
"""A close frame has room for 123 bytes of UTF-8 (RFC 6455, section 5.5.1)."""


class AliasBinding:
    """Where an alias of a connection leads.

    Attributes:
        name: of the stream, or the address.
        peer: number of the connection.
        stream: the stream; ``None`` for an address, or if the OPEN was refused.
        fanout: the stream's receivers.
        refusal: why the OPEN was refused.
        next_sequence: the sequence that the next message must have, or of a producer's the lowest that it may have.
        window: what the producer that OPEN named has published before; ``None`` if it named none.
        transfer: the large message that is under way to this alias, by the client's number.
        meta: the last meta block without headers that was found good, and of its messages
        payload_bytes: the size of the payload,
        itemsize: the size of an element,
        schema: what the stream was declared to hold.
    """

    __slots__ = (
        "fanout",
        "itemsize",
        "meta",
        "name",
        "next_sequence",
        "payload_bytes",
        "peer",
        "refusal",
        "schema",
        "stream",
        "transfer",
        "window",
    )

    def __init__(self, name: str, peer: int) -> None:
        self.name = name
        self.peer = peer
        self.stream: Stream | None = None
        self.fanout: Fanout | None = None
        self.refusal: RequestRefused | None = None
        self.next_sequence = 1
        self.window: Window | None = None
        self.transfer: int | None = None
        self.meta = b""
        self.payload_bytes = _NO_PAYLOAD
        self.itemsize = 1
        self.schema: Schema | None = None

    def superseded(self) -> None:
        """Part of :class:`~gateway.streams.producers.Holder`: what still comes to the alias is refused."""
        problem = f"its producer has opened {self.name} again since: only the newer alias may publish"
        self.refusal = RequestRefused(Code.BAD_SEQUENCE, problem)
        self.payload_bytes = _NO_PAYLOAD


class Upload:
    """A large message on its way in.

    Attributes:
        session: that it comes from; ``None`` while it waits for its producer to come back.
        transfer: the client's number for it.
        client_id: whose it is.
        codecs: that its chunks may use.
        alias: where it is published; ``None`` for a request or a reply.
        correlation: of a request or a reply.
        fanout: who receives it.
        itemsize: bytes of an element, for the codecs.
        sequence: what an acknowledgement names.
        ack: whether the publisher wants one.
        asker_peer: of a reply, whom it is for.
        window: of the producer that publishes it, if it has said which.
        done: of a request or a reply, called when it is complete.
        undo: of a request or a reply, called if it will not be.
        moved_s: when something came of it last.
    """

    __slots__ = (
        "ack",
        "alias",
        "asker_peer",
        "client_id",
        "codecs",
        "correlation",
        "done",
        "fanout",
        "itemsize",
        "message",
        "moved_s",
        "sequence",
        "session",
        "transfer",
        "undo",
        "window",
    )

    def __init__(
        self,
        session: Session,
        transfer: int,
        message: LargeMessage,
        fanout: Fanout,
        itemsize: int,
    ) -> None:
        self.session: Session | None = session
        self.transfer = transfer
        self.message = message
        self.fanout = fanout
        self.itemsize = itemsize
        self.client_id: ClientId = session.peer.client_id
        self.codecs = session.connection.codecs
        self.alias: int | None = None
        self.correlation: int | None = None
        self.sequence = 0
        self.ack = False
        self.asker_peer: int | None = None
        self.window: Window | None = None
        self.done: Callable[[], object] | None = None
        self.undo: Callable[[], object] | None = None
        self.moved_s = 0.0


class ViewSubscription(NamedTuple):
    """What a session asked for: a view of all streams that match."""

    pattern: Pattern
    view: View


class Session:
    """A connection, the client behind it, and all that the client has under way.

    Attributes:
        peer: the client, as it has introduced itself.
        connection: the way out to it.
        grant: permissions of its client; nothing is permitted before HELLO has been answered.
        state: of the protocol (spec section 3); a connection that is :attr:`~Connection.closed` is in none any more.
        heard: something came from the client since the last heartbeat sweep.
        silent_sweeps: heartbeat sweeps since something came.
        routes: by alias, where it publishes.
        subscriptions: by the client's number, what it asked for, and
        credits: what it still takes for it.
        views: what it asked for with a view.
        transfers: large messages on their way from it, by its own number.
        desk: requests that it has asked, and that it has to reply to.
    """

    __slots__ = (
        "connection",
        "credits",
        "desk",
        "grant",
        "heard",
        "peer",
        "routes",
        "silent_sweeps",
        "state",
        "subscriptions",
        "transfers",
        "views",
    )

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.peer = connection.peer
        self.grant: Grant = NOTHING
        self.state = State.GREETING
        self.heard = True
        self.silent_sweeps = 0
        self.routes: dict[int, AliasBinding] = {}
        self.subscriptions: dict[int, Pattern] = {}
        self.views: dict[int, ViewSubscription] = {}
        self.credits: dict[int, CreditWindow] = {}
        self.transfers: dict[int, Upload] = {}
        self.desk = ConnectionRequests(connection)

    def introduce(self, peer: Peer) -> None:
        """Name the client, when it has said HELLO."""
        self.peer = self.connection.peer = peer

    def refuse(self, refusal: PeerError, **answers: int | str | None) -> None:
        """Answer with ERROR; ``answers`` are the fields that name the refused message (spec section 12.2)."""
        self.connection.send(Error.of(refusal, **answers))

    def fail(self, error: PeerError) -> None:
        """Close the connection for a fault of its peer: ERROR for its program, a close code for its transport."""
        connection = self.connection
        if not connection.closed:
            connection.send(Error.of(error))
            code = Code.INTERNAL_ERROR if error.code == Code.INTERNAL else error.code
            connection.close(code, error.message.encode()[:_MAX_REASON_BYTES].decode(errors="ignore"))
