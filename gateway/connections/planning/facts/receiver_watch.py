"""Receiver watch: the connections that are measured for plans, and how they are found.

Connections that lag are watched, and such as have a line that would take long for a burst of versions, even if
they come so seldom that none waits. The latter are found by looking at some connections of the pool at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import islice
from typing import Final, NamedTuple

from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.links.link import LEAST_BUSY_S
from gateway.connections.lowering import Lowering
from gateway.connections.outbound.connection import Connection
from gateway.connections.planning.context import ReceiverFacts, SlowStart, ViewFacts
from gateway.connections.planning.facts.burst_time import LEAST_TAKEN_BYTES, CarriedBytes, burst_s, queued_s
from gateway.connections.planning.facts.watched_receiver import WatchedReceiver, states_of, version_bytes_of
from gateway.connections.planning.facts.watched_views import WatchedViews
from gateway.connections.planning.rules.paces import SLOW_BURST_S
from gateway.connections.ports import Clock
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.connections.socket_counts import TcpInfo
from gateway.protocol.names import workflow_of

MAX_WATCHED: Final = 1024
"""Receivers that are watched at a time."""
MAX_SUSPECTS: Final = MAX_WATCHED // 2
"""Receivers up to which those are watched, too, that do not lag."""
WATCHED_S: Final = 10.0
"""Time for which a receiver is watched that has caught up, or has never lagged."""

SCANNED: Final = 64
"""Connections that each look asks for the time of a burst on their line, at some 3 us each."""

MAX_GLIMPSED: Final = 32
"""Connections whose first rate is measured at a time: they have just come, or have just fallen behind."""
GLIMPSE_S: Final = 0.1
"""Time between two glimpses of them."""
LAST_GLIMPSE_S: Final = 3.0
"""Time after which they are left to the looks."""

STEP: Final = 16
"""Receivers that are looked at between two chances for the loop: some hundred microseconds."""


class _Glimpse(NamedTuple):
    """Counters of a connection when it was found."""

    tcp: TcpInfo
    at_s: float


class ReceiverWatch:
    """Receivers that are measured.

    Args:
        pool: connections.
        lag_changes: connections that have fallen behind or caught up.
        lowering: states that may come by a lower view.
        clock: stamps PINGs.
    """

    def __init__(self, pool: Pool, lag_changes: LagChanges[Connection], lowering: Lowering, clock: Clock) -> None:
        self._pool = pool
        self._lag_changes = lag_changes
        self._lowering = lowering
        self._clock = clock
        self._watched: dict[Connection, WatchedReceiver] = {}
        self._views: dict[Connection, WatchedViews] = {}
        """Measurements of the watched receivers that have named lower views."""
        self._scan: Iterator[Session] = iter(())
        self._glimpsed: dict[Connection, _Glimpse] = {}
        self._noted = 0
        """Number of the newest lag change that was looked at."""
        self._newest_peer = pool.newest_peer

    def __len__(self) -> int:
        """Return the number of receivers that are watched."""
        return len(self._watched)

    def forget(self) -> None:
        """Measure anew from now on."""
        self._watched = {}
        self._views = {}
        self._glimpsed = {}
        self._scan = iter(())

    def read(self, now_s: float) -> Generator[None, None, list[ReceiverFacts]]:
        """Return what is known of the watched receivers. Yields now and then, for the loop."""
        self._find(now_s)
        watched = self._watched
        facts: list[ReceiverFacts] = []
        for number, (connection, receiver) in enumerate(list(watched.items()), start=1):
            session = self._pool.get(connection.peer.id)
            lowered = session is not None and session in self._lowering
            if session is None or connection.closed or (now_s - receiver.lagged_s > WATCHED_S and not lowered):
                del watched[connection]
                self._views.pop(connection, None)
                continue
            fact = receiver.look(now_s, self._clock.time_ns())
            if fact is not None:
                facts.append(fact._replace(views=self._look_at_views(session, fact, now_s, lowered=lowered)))
            if not number % STEP or connection in self._views:
                yield  # the views of one receiver take a millisecond, if they are many
                now_s = self._clock.monotonic_s()
        return facts

    def _look_at_views(
        self, session: Session, receiver: ReceiverFacts, now_s: float, *, lowered: bool
    ) -> ViewFacts | None:
        if not self._lowering.may(session):
            self._views.pop(session.connection, None)
            return None
        views = self._views.setdefault(session.connection, WatchedViews())
        goodput = None if lowered else receiver.goodput_bytes_per_s
        return views.look(self._lowering.states_of(session), now_s, goodput)

    def slow_starts(self, now_s: float) -> list[SlowStart]:
        """Return what is known of the receivers that have just come or fallen behind.

        To be called every :data:`GLIMPSE_S`. If there are very many at once, the looks find the others.
        """
        glimpsed = self._glimpsed
        for connection in self._newest():
            if len(glimpsed) < MAX_GLIMPSED and connection not in glimpsed and _may_be_paced(connection):
                tcp = connection.transport.socket_counts().tcp
                if tcp is not None:
                    glimpsed[connection] = _Glimpse(tcp, now_s)
        found = []
        for connection, glimpse in list(glimpsed.items()):
            if not _may_be_paced(connection) or now_s - glimpse.at_s > LAST_GLIMPSE_S:
                del glimpsed[connection]
            elif (start := _slow_start(connection, glimpse)) is not None:
                found.append(start)
        return found

    def _newest(self) -> list[Connection]:
        """Return connections that have come, and such as have fallen behind or caught up, since the last call."""
        first, self._newest_peer = self._newest_peer + 1, self._pool.newest_peer
        peers = range(first, min(self._newest_peer + 1, first + MAX_GLIMPSED))
        come = [session.connection for peer in peers if (session := self._pool.get(peer)) is not None]
        changed = self._lag_changes.since(self._noted, MAX_GLIMPSED)
        self._noted = self._lag_changes.count
        return come + (list(islice(self._lag_changes.lagging, MAX_GLIMPSED)) if changed is None else changed)

    def _find(self, now_s: float) -> None:
        """Watch connections that lag, and some whose line would take long for a burst."""
        watched = self._watched
        for connection in self._lag_changes.lagging:
            if connection not in watched and len(watched) < MAX_WATCHED and connection.format.answers_pings:
                watched[connection] = WatchedReceiver(connection, now_s)
        scanned = list(islice(self._scan, SCANNED))
        if len(scanned) < SCANNED:
            self._scan = iter(self._pool)
        for session in scanned:
            connection = session.connection
            if connection not in watched and len(watched) < MAX_SUSPECTS and _is_late_in_a_burst(connection):
                watched[connection] = WatchedReceiver(connection, now_s)


def _may_be_paced(connection: Connection) -> bool:
    """Return whether a connection can be paced, and is not."""
    return not connection.closed and not connection.paced and connection.format.answers_pings


def _is_late_in_a_burst(connection: Connection) -> bool:
    """Return whether a burst of its states would take the line of a connection long, by all that it was sent."""
    if not _may_be_paced(connection):
        return False
    nbytes = max(map(version_bytes_of, states_of(connection)), default=0.0)
    tcp = connection.transport.socket_counts().tcp if nbytes else None
    if tcp is None:
        return False
    # No PINGs follow the newest version before it is watched: the round trip is still that behind this version.
    taken = CarriedBytes(tcp.acknowledged_bytes, tcp.busy_s, queued_s(tcp))
    return burst_s(nbytes, taken, tcp.smallest_rtt_s, connection.bulk_window) >= SLOW_BURST_S


def _slow_start(connection: Connection, glimpse: _Glimpse) -> SlowStart | None:
    """Return what is known of a connection since it was found; ``None``: nothing yet, or it takes no states."""
    state = next(states_of(connection), None)
    tcp = None if state is None else connection.transport.socket_counts().tcp
    if state is None or tcp is None:
        return None
    taken_bytes = tcp.acknowledged_bytes - glimpse.tcp.acknowledged_bytes
    busy_s = tcp.busy_s - glimpse.tcp.busy_s
    if taken_bytes < LEAST_TAKEN_BYTES or busy_s < LEAST_BUSY_S:
        return None
    return SlowStart(
        connection.peer.id,
        connection.peer.client_id,
        workflow_of(state.name),
        taken_bytes / busy_s,
        connection.transport.waiting_bytes() + tcp.unsent_bytes + tcp.unacknowledged_bytes,
        tcp.smallest_rtt_s,
        queued_s(tcp),
    )
