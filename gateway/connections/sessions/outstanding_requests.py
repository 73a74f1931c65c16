"""Outstanding requests: the asker and the replier of each, and the copies kept of group requests (spec section 8).

This module knows tables and sums only; :mod:`gateway.connections.requests.requests` decides about requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.no_entries import NO_ENTRIES, with_entry
from gateway.connections.ports import Clock
from gateway.connections.sessions.deadlines import Deadlines
from gateway.connections.sessions.exchange import Exchange
from gateway.connections.sessions.send_in_order import send_in_order
from gateway.connections.sessions.turns import Turns
from gateway.errors import Code, PeerError, RequestRefused
from gateway.protocol.messages import Error
from gateway.protocol.names import inbox_of
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run

REQUEST_BYTES = 64 * 1024
"""Weight of a request beside its bytes when the loads of group members are compared: a small request is work, too."""

MAX_RELEASED = 4096
"""Withdrawn requests of one replier that are remembered: late replies to these are dropped without an error."""


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """Bounds on requests to groups, which are kept so that another member can be given them."""

    max_handovers: int = 3
    """Members that may be lost with a request before it fails: a request that kills workers must not kill all."""
    kept_bytes_per_asker: int = 256 * 1024 * 1024
    """Bytes of the unanswered group requests of one connection, payloads included; past it ``LIMIT_EXCEEDED``. A single
    request may be larger."""
    kept_bytes: int = 1024 * 1024 * 1024
    """Bytes of the unanswered group requests of all connections; past it ``LIMIT_EXCEEDED``. One request at a time may
    be larger: it does not count."""


class RequestStats(NamedTuple):
    """Numbers of the requests of one connection."""

    asked: int
    """Requests of the connection that wait for a reply."""
    owed: int
    """Requests that the connection must reply to."""
    groups: tuple[str, ...]
    """Addresses of the groups that it is a member of, sorted."""
    kept_bytes: int
    """Bytes of its requests to groups, kept for another member should one be lost."""


@dataclass(slots=True, eq=False)
class ConnectionRequests:
    """Requests that one connection has asked, and requests that it must reply to."""

    connection: Connection
    asked: dict[int, OutstandingRequest] = field(default=NO_ENTRIES)
    """Requests of the connection that wait for a reply, by correlation."""
    owed: dict[tuple[int, int], OutstandingRequest] = field(default=NO_ENTRIES)
    """Requests that the connection must reply to, in the order of their arrival, by (asker's peer, correlation)."""
    released: dict[tuple[int, int], None] = field(default=NO_ENTRIES)
    """Requests that were withdrawn from the connection; its replies to them are dropped."""
    groups: dict[str, None] = field(default=NO_ENTRIES)
    """Addresses of the groups that the connection is a member of."""
    mailboxes: dict[str, PubSubFanout] = field(default=NO_ENTRIES)
    """Fan-outs of requests and replies to the connection, by address: its own inbox, and one for each of its groups."""
    turns: Turns | None = None
    """Fair turns of those who send requests and replies to the connection; ``None``: its queue was not full lately."""
    largest_bytes: int = 0
    """Size of the largest message in chunks that was taken since its queue was last found not to be full."""
    load_bytes: int = 0
    """Weight of the requests that the connection must reply to."""
    kept_bytes: int = 0
    """Bytes kept of the requests that the connection asked."""
    answered: int = 0
    """Requests that it had to reply to, and has not to any more."""
    busy_s: float = 0.0
    """Time for which it has had requests to reply to, up to :attr:`counted_s`."""
    waited_s: float = 0.0
    """Time for which requests have waited for its replies, of all together, up to :attr:`counted_s`."""
    counted_s: float = 0.0
    """Time of the last change of what it owes, or of the last count."""

    def count_time(self, now_s: float) -> None:
        """Count the time since the last change of what is owed."""
        if self.owed:
            passed_s = now_s - self.counted_s
            self.busy_s += passed_s
            self.waited_s += len(self.owed) * passed_s
        self.counted_s = now_s

    def stats(self) -> RequestStats:
        """Return the numbers of the requests of this connection."""
        return RequestStats(len(self.asked), len(self.owed), tuple(sorted(self.groups)), self.kept_bytes)

    def mark_withdrawn(self, key: tuple[int, int]) -> None:
        """Record that a request was withdrawn from the connection: its replies to the request are dropped."""
        self.released = with_entry(self.released, key, None)
        if len(self.released) > MAX_RELEASED:
            del self.released[next(iter(self.released))]


@dataclass(slots=True, eq=False)
class OutstandingRequest:
    """A request whose last reply has not come."""

    table: OutstandingRequests
    """The table that holds the request."""
    asker: ConnectionRequests
    """Requests of the connection that asked."""
    correlation: int
    """The asker's number for the request."""
    address: str
    """Address that the request was sent to."""
    size: int
    """Bytes of the request."""
    replier: ConnectionRequests
    """Requests of the connection that must reply."""
    mailbox: PubSubFanout
    """Fan-out that brings the request to the replier."""
    exchange: Exchange
    """Exchange between the asker and the address."""
    key: tuple[int, int] = field(init=False)
    """The replier's name for the request: (asker's peer, correlation)."""
    deadline_ns: int | None = None
    """Unix time at which the request expires; ``None``: never."""
    kept: Run | LargeMessage | None = None
    """Copy of a request to a group, for another member should this one be lost."""
    incoming: int | None = None
    """The asker's number of the transfer, while a large request is on its way in."""
    replying: int | None = None
    """The replier's number of the transfer, while a large reply is on its way in."""
    streamed: bool = False
    """Whether a reply that is not the last one has been passed on."""
    handovers: int = 0
    """Members that were lost with the request."""

    def __post_init__(self) -> None:
        self.key = (self.asker.connection.peer.id, self.correlation)

    def settle(self) -> None:
        """Remove the request from its table: no client waits for it any more. A second call does nothing."""
        if self.asker.asked.get(self.correlation) is self:
            self.table.remove(self)

    def refuse(self, refusal: PeerError) -> None:
        """Remove the request, and tell the asker that it fails, behind the parts of a reply that have come."""
        self.settle()
        asker = self.asker
        error = Error.of(refusal, correlation=self.correlation)
        if self.streamed:
            send_in_order(asker.connection, asker.mailboxes[inbox_of(asker.connection.peer.client_id)], error)
        else:
            asker.connection.send(error)


class OutstandingRequests:
    """Table of all outstanding requests.

    Args:
        settings: bounds on the copies that are kept.
        clock: time for which connections are busy with requests.

    Attributes:
        settings: the bounds.
        kept_bytes: bytes of all copies that are kept.
        owing: connections that owe a reply.
    """

    def __init__(self, settings: RequestSettings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self.kept_bytes = 0
        self._oversized_bytes = 0
        """Bytes of the one request that is larger than the bound by itself; 0: there is none."""
        self.owing: dict[ConnectionRequests, None] = {}
        self._deadlines: Deadlines[OutstandingRequest] = Deadlines()

    def check_room(self, asker: ConnectionRequests, size: int) -> None:
        """Check that another ``size`` bytes may be kept for an asker.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``.
        """
        settings = self.settings
        per_asker, in_all = settings.kept_bytes_per_asker, settings.kept_bytes
        if asker.kept_bytes and asker.kept_bytes + size > per_asker:
            raise _no_room(asker.kept_bytes, size, f"kept_bytes_per_asker={per_asker}")
        # A request that is larger than the bound goes beside all others, one at a time.
        others_bytes = self.kept_bytes - self._oversized_bytes
        full = self._oversized_bytes > 0 if size > in_all else others_bytes + size > in_all
        if full:
            raise _no_room(self.kept_bytes, size, f"kept_bytes={in_all}")

    def add(self, request: OutstandingRequest) -> None:
        """Add a request that is on its way to its replier."""
        asker = request.asker
        asker.asked = with_entry(asker.asked, request.correlation, request)
        if request.kept is not None:
            asker.kept_bytes += request.size
            self.kept_bytes += request.size
            if request.size > self.settings.kept_bytes:
                self._oversized_bytes = request.size
        if request.deadline_ns is not None:
            self._deadlines.add(request, request.deadline_ns)
        self._owe(request)

    def assign(self, request: OutstandingRequest, replier: ConnectionRequests, mailbox: PubSubFanout) -> None:
        """Make another member of the group the replier."""
        self._release(request)
        request.replier, request.mailbox = replier, mailbox
        self._owe(request)

    def take_expired(self, now_ns: int) -> list[OutstandingRequest]:
        """Return the requests that have passed their deadlines since the last call, each once."""
        return self._deadlines.take_due(now_ns)

    def remove(self, request: OutstandingRequest) -> None:
        """Remove a request; called by :meth:`OutstandingRequest.settle`."""
        del request.asker.asked[request.correlation]
        if request.kept is not None:
            request.kept = None
            request.asker.kept_bytes -= request.size
            self.kept_bytes -= request.size
            if request.size > self.settings.kept_bytes:
                self._oversized_bytes = 0
        if request.deadline_ns is not None:
            self._deadlines.discard(request, request.deadline_ns)
        self._release(request)

    def _owe(self, request: OutstandingRequest) -> None:
        replier = request.replier
        if replier.released:
            replier.released.pop(request.key, None)
        replier.count_time(self._clock.monotonic_s())
        replier.owed = with_entry(replier.owed, request.key, request)
        replier.load_bytes += REQUEST_BYTES + request.size
        self.owing[replier] = None

    def _release(self, request: OutstandingRequest) -> None:
        replier = request.replier
        replier.count_time(self._clock.monotonic_s())
        del replier.owed[request.key]
        replier.load_bytes -= REQUEST_BYTES + request.size
        replier.answered += 1
        if not replier.owed:
            del self.owing[replier]


def _no_room(kept_bytes: int, size: int, bound: str) -> RequestRefused:
    problem = f"{kept_bytes} bytes of unanswered group requests are kept; with {size} more they exceed {bound}"
    return RequestRefused(Code.LIMIT_EXCEEDED, f"{problem}: wait for replies")
