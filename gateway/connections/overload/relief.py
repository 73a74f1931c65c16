"""Relief: the parts of the gateway that measures against overload act upon, each by the way that it offers."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest
from typing import Final, NamedTuple

from gateway.connections.admission.admission import Admission
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.peer import Peer
from gateway.connections.overload.dashboard_states import DashboardStates
from gateway.connections.overload.measures import SHED_FIRST, Bounds, Measures, ShedGroup
from gateway.connections.sessions.pool import Pool
from gateway.connections.slices import Slices
from gateway.connections.viewing.view_pace import ViewPace
from gateway.errors import Code, ProtocolViolation
from gateway.protocol.messages import ClientType
from gateway.streams.history import HistoryBudget

logger = logging.getLogger(__name__)

SHED_BYTES: Final = 1024 * 1024
"""Bytes that wait, at least, for a client that is closed: fewer would not help."""

RETURN_S: Final = 10.0
"""Least time after which a client that was closed is to return; twice as long for the last ones."""


class ClientQueue(NamedTuple):
    """Bytes that wait for one client."""

    nbytes: int
    connection: Connection


@dataclass(frozen=True, slots=True)
class Relief:
    """Parts of the gateway that measures act upon."""

    outbox_limit_bytes: int
    """Bound of an outbox while nothing presses."""
    history_total_bytes: int
    """Bound of all histories while nothing presses."""
    history: HistoryBudget
    """Histories of streams in memory."""
    view_pace: ViewPace
    """Pace of views."""
    dashboard_states: DashboardStates
    """States of dashboards."""
    admission: Admission
    """Decision about newcomers."""
    pool: Pool
    """All connections."""
    slices: Slices
    """Take what leaves outboxes, bit by bit."""
    draw: Callable[[], float] = random.random
    """Function that returns random numbers from 0 up to 1, by which returns are spread."""

    def bounds(self, memory_limit_bytes: float) -> Bounds:
        """Return the bounds while nothing presses."""
        return Bounds(self.outbox_limit_bytes, self.history_total_bytes, memory_limit_bytes)

    def take(self, measures: Measures) -> Iterator[None]:
        """Take all measures but those that act on single connections. Yields now and then, for the loop."""
        self.view_pace.least_interval_s = measures.view_interval_s
        self.dashboard_states.least_interval_s = measures.view_interval_s
        self.admission.refuses_dashboards = measures.refuses_dashboards
        yield from self.history.set_limit(measures.history_total_bytes)

    def bound_outbox(self, connection: Connection, limit_bytes: int) -> None:
        """Set the bound of the outbox of a client that lags."""
        outbox = connection.outbox
        if outbox is not None and outbox.set_bound(limit_bytes):
            self.slices.add(outbox.give_up)

    def shed(self, waiting: Iterable[ClientQueue], count: int) -> None:
        """Close some connections for which most waits, one group behind the other, and no others."""
        found = [
            (-SHED_FIRST.index(group), each.nbytes, each)
            for each in waiting
            if each.nbytes >= SHED_BYTES and (group := _group_of(each.connection.peer)) is not None
        ]
        closed = [each for _, _, each in nlargest(count, found, key=lambda ranked: ranked[:2])]
        for nbytes, connection in closed:
            session = self.pool.get(connection.peer.id)
            if session is not None:
                queue = f"{nbytes} bytes wait for you: read faster, or ask for less by a view"
                problem = f"the gateway is overloaded, and {queue}"
                session.fail(ProtocolViolation(Code.OVERLOADED, problem, RETURN_S * (1 + self.draw())))
        if closed:
            total_bytes = sum(each.nbytes for each in closed)
            logger.warning(
                "overload: %d clients that lag are closed, %d bytes waited for them", len(closed), total_bytes
            )


def _group_of(peer: Peer) -> ShedGroup | None:
    """Return the group of a client; ``None``: it is not closed to make room."""
    if peer.is_dashboard:
        return ShedGroup.DASHBOARDS
    return ShedGroup.AGENTS if peer.client_type is ClientType.AGENT else None
