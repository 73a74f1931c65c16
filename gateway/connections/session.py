"""What one connection has under way towards the gateway: what it publishes to, asks for, and owes."""

from __future__ import annotations

from collections.abc import Callable

from gateway.connections.connection import Connection
from gateway.connections.fanout import Fanout
from gateway.errors import RequestRefused
from gateway.ids import PeerId
from gateway.protocol.messages import Kind
from gateway.protocol.names import Pattern, inbox_of
from gateway.streams.large import LargeMessage
from gateway.streams.stream import Stream


class Route:
    """Where an alias of a connection leads.

    Attributes:
        name: of the stream, or the address.
        stream: the stream; ``None`` for an address, or if the OPEN was refused.
        fanout: the stream's receivers.
        refusal: why the OPEN was refused.
        next_sequence: the sequence that the next message must have.
        transfer: the large message that is under way to this alias, by the client's number.
        meta: the last meta block without headers that was found good, and of its messages
        payload_bytes: the size of the payload,
        itemsize: the size of an element.
    """

    __slots__ = (
        "fanout",
        "itemsize",
        "meta",
        "name",
        "next_sequence",
        "payload_bytes",
        "refusal",
        "stream",
        "transfer",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.stream: Stream | None = None
        self.fanout: Fanout | None = None
        self.refusal: RequestRefused | None = None
        self.next_sequence = 1
        self.transfer: int | None = None
        self.meta = b""
        # No frame is as long: the first message of every alias goes through all checks.
        self.payload_bytes = 2**32
        self.itemsize = 1


class Inbound:
    """A large message on its way from a connection.

    Attributes:
        alias: where it is published; ``None`` for a request or a reply.
        correlation: of a request or a reply.
        fanout: who receives it.
        itemsize: bytes of an element, for the codecs.
        sequence: what an acknowledgement names.
        ack: whether the publisher wants one.
        undo: of a request or a reply, takes back what its head has changed, should it not be completed.
    """

    __slots__ = ("ack", "alias", "correlation", "fanout", "itemsize", "message", "sequence", "undo")

    def __init__(self, message: LargeMessage, fanout: Fanout, itemsize: int, correlation: int | None) -> None:
        self.message = message
        self.fanout = fanout
        self.itemsize = itemsize
        self.correlation = correlation
        self.alias: int | None = None
        self.sequence = 0
        self.ack = False
        self.undo: Callable[[], object] | None = None


class Inbox:
    """The :class:`~gateway.streams.run.Source` of what is sent to one connection: requests and replies."""

    __slots__ = ("name",)

    kind = Kind.COLLABORATION
    id = 0

    def __init__(self, client_id: str) -> None:
        self.name = inbox_of(client_id)


class Session:
    """A connection and what it has under way.

    Attributes:
        routes: by alias, where it publishes.
        subscriptions: by the client's number, what it asked for.
        transfers: large messages on their way from it, by its own number.
        asked: its outstanding requests: correlation, and the peer that has to reply.
        owed: requests that it has to reply to: (asker's peer, correlation).
        mailbox: brings requests and replies to it; made when the first one comes.
    """

    __slots__ = ("asked", "connection", "mailbox", "owed", "routes", "subscriptions", "transfers")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.routes: dict[int, Route] = {}
        self.subscriptions: dict[int, Pattern] = {}
        self.transfers: dict[int, Inbound] = {}
        self.asked: dict[int, PeerId] = {}
        self.owed: dict[tuple[int, int], None] = {}
        self.mailbox: Fanout | None = None
