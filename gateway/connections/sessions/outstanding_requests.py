"""Requests that wait for their replies: who asked, who owes the reply, and what is kept of them (spec section 8).

Knows tables and sums only. What becomes of a request is decided in :mod:`gateway.connections.requests.requests`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.deadlines import Deadlines
from gateway.connections.sessions.send_in_order import send_in_order
from gateway.errors import Code, PeerError, RequestRefused
from gateway.protocol.messages import Error
from gateway.protocol.names import inbox_of
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run

REQUEST_BYTES = 64 * 1024
"""What a request weighs beside its bytes when members of a group are compared: a small one is work, too."""

MAX_RELEASED = 4096
"""Requests that were taken back from a replier, which may still reply to them without being told that nobody waits."""


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """How requests to groups are kept, so that another member can have them."""

    max_handovers: int = 3
    """How many members may be lost with a request before it fails: one that kills workers must not kill them all."""
    kept_bytes_per_asker: int = 256 * 1024 * 1024
    """Of the unanswered group requests of one connection, payloads included; past it ``LIMIT_EXCEEDED``."""
    kept_bytes: int = 1024 * 1024 * 1024
    """Of those of all connections."""


class RequestStats(NamedTuple):
    """Numbers of the requests of one connection."""

    asked: int
    """Its own requests that wait for a reply."""
    owed: int
    """Requests that it has to reply to."""
    groups: tuple[str, ...]
    """Addresses of the groups that it is a member of, sorted."""
    kept_bytes: int
    """Size of its requests to groups that are kept for another member, should one be lost."""


class ConnectionRequests:
    """What one connection has asked, and what it has been asked.

    Attributes:
        connection: whose it is.
        asked: its requests that wait for a reply, by correlation.
        owed: requests that it has to reply to, in the order in which it got them: by (asker's peer, correlation).
        released: requests that it got and need not reply to any more; what it says to them is dropped.
        groups: those that it is a member of.
        mailboxes: what brings requests and replies to it, by address: its own inbox, and that of each of its groups.
        load_bytes: weight of what it owes.
        kept_bytes: size of what is kept of the requests that it asked.
    """

    __slots__ = ("asked", "connection", "groups", "kept_bytes", "load_bytes", "mailboxes", "owed", "released")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.asked: dict[int, OutstandingRequest] = {}
        self.owed: dict[tuple[int, int], OutstandingRequest] = {}
        self.released: dict[tuple[int, int], None] = {}
        self.groups: set[str] = set()
        self.mailboxes: dict[str, PubSubFanout] = {}
        self.load_bytes = 0
        self.kept_bytes = 0

    def stats(self) -> RequestStats:
        """Return the numbers of the requests of this connection."""
        return RequestStats(len(self.asked), len(self.owed), tuple(sorted(self.groups)), self.kept_bytes)

    def forgive(self, key: tuple[int, int]) -> None:
        """A request was taken back: what it will still say to it does not matter."""
        self.released[key] = None
        if len(self.released) > MAX_RELEASED:
            del self.released[next(iter(self.released))]


class OutstandingRequest:
    """A request whose last reply has not come.

    Attributes:
        asker: who asked.
        correlation: the asker's number for it.
        key: names it to the replier.
        address: where it was sent.
        size: its bytes.
        deadline_ns: when it expires, Unix time; ``None``: never.
        kept: of a request to a group, what another member is given should this one be lost.
        replier: who has to reply.
        mailbox: what brings it there.
        incoming: the asker's number of the transfer while a large request still comes in.
        replying: the replier's number of the transfer while a large reply comes in.
        streamed: a reply that is not the last has been passed on.
        handovers: how many members were lost with it.
    """

    __slots__ = (
        "_table",
        "address",
        "asker",
        "correlation",
        "deadline_ns",
        "handovers",
        "incoming",
        "kept",
        "key",
        "mailbox",
        "replier",
        "replying",
        "size",
        "streamed",
    )

    def __init__(
        self,
        table: OutstandingRequests,
        asker: ConnectionRequests,
        correlation: int,
        address: str,
        size: int,
        replier: ConnectionRequests,
        mailbox: PubSubFanout,
    ) -> None:
        self._table = table
        self.asker = asker
        self.correlation = correlation
        self.key = (asker.connection.peer.id, correlation)
        self.address = address
        self.size = size
        self.deadline_ns: int | None = None
        self.kept: Run | LargeMessage | None = None
        self.replier = replier
        self.mailbox = mailbox
        self.incoming: int | None = None
        self.replying: int | None = None
        self.streamed = False
        self.handovers = 0

    def settle(self) -> None:
        """Nobody waits for it any more; a second call does nothing."""
        if self.asker.asked.get(self.correlation) is self:
            self._table.remove(self)

    def refuse(self, refusal: PeerError) -> None:
        """It will not be answered: forget it and tell the asker, behind the parts of a reply that have come."""
        self.settle()
        asker = self.asker
        error = Error.of(refusal, correlation=self.correlation)
        if self.streamed:
            send_in_order(asker.connection, asker.mailboxes[inbox_of(asker.connection.peer.client_id)], error)
        else:
            asker.connection.send(error)


class OutstandingRequests:
    """All requests that are outstanding.

    Args:
        settings: bounds on what is kept.

    Attributes:
        settings: the bounds.
        kept_bytes: size of what is kept of all.
        owing: connections that owe a reply.
    """

    def __init__(self, settings: RequestSettings) -> None:
        self.settings = settings
        self.kept_bytes = 0
        self.owing: dict[ConnectionRequests, None] = {}
        self._deadlines: Deadlines[OutstandingRequest] = Deadlines()

    def check_room(self, asker: ConnectionRequests, size: int) -> None:
        """Whether another ``size`` bytes may be kept for an asker.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``.
        """
        settings = self.settings
        for what, kept, limit in (
            ("kept_bytes_per_asker", asker.kept_bytes, settings.kept_bytes_per_asker),
            ("kept_bytes", self.kept_bytes, settings.kept_bytes),
        ):
            if size > limit:
                problem = f"a group request of {size} bytes exceeds {what}={limit}: ask an agent by its name"
                raise RequestRefused(Code.LIMIT_EXCEEDED, problem)
            if kept + size > limit:
                problem = f"{kept} bytes of unanswered group requests are kept; with {size} more they exceed"
                raise RequestRefused(Code.LIMIT_EXCEEDED, f"{problem} {what}={limit}: wait for replies")

    def add(self, request: OutstandingRequest) -> None:
        """A request is on its way to its replier; it is kept if it has something to keep."""
        request.asker.asked[request.correlation] = request
        if request.kept is not None:
            request.asker.kept_bytes += request.size
            self.kept_bytes += request.size
        if request.deadline_ns is not None:
            self._deadlines.add(request, request.deadline_ns)
        self._owe(request)

    def assign(self, request: OutstandingRequest, replier: ConnectionRequests, mailbox: PubSubFanout) -> None:
        """Another member has to reply."""
        self._release(request)
        request.replier, request.mailbox = replier, mailbox
        self._owe(request)

    def take_expired(self, now_ns: int) -> list[OutstandingRequest]:
        """Requests that are past their deadlines, each once."""
        return self._deadlines.take_due(now_ns)

    def remove(self, request: OutstandingRequest) -> None:
        """Part of :meth:`OutstandingRequest.settle`."""
        del request.asker.asked[request.correlation]
        if request.kept is not None:
            request.kept = None
            request.asker.kept_bytes -= request.size
            self.kept_bytes -= request.size
        if request.deadline_ns is not None:
            self._deadlines.discard(request, request.deadline_ns)
        self._release(request)

    def _owe(self, request: OutstandingRequest) -> None:
        replier = request.replier
        replier.released.pop(request.key, None)
        replier.owed[request.key] = request
        replier.load_bytes += REQUEST_BYTES + request.size
        self.owing[replier] = None

    def _release(self, request: OutstandingRequest) -> None:
        replier = request.replier
        del replier.owed[request.key]
        replier.load_bytes -= REQUEST_BYTES + request.size
        if not replier.owed:
            del self.owing[replier]
