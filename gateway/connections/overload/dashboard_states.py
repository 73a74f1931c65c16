"""States of dashboards under overload: a dashboard rests, and is shown the newest version of each state at intervals.

Views have a pace of their own. A version between two intervals costs a dashboard that rests nothing, however many there
are, and other receivers of the stream get it as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.connections.fanout.state_fanout import StateFanout
from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.pool import Pool
from gateway.errors import Code
from gateway.protocol.messages import Kind, Notice
from gateway.streams.derived import DerivedStream
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

OFF_S: Final = 0.25
"""Time between two looks whether dashboards are to rest."""

LOOKED_AT_TOGETHER: Final = 256
"""Connections, or streams, that are looked at between two chances for the loop."""

TOLD_TOGETHER: Final = 32
"""Dashboards that are told, or states of theirs that begin to rest, between two chances: some 0.3 ms."""


@dataclass(eq=False)
class DashboardStates:
    """Dashboards that rest, with their states."""

    pool: Pool
    """All connections."""
    fanouts: FanoutRegistry
    """Fan-outs of all streams."""
    least_interval_s: float = 0.0
    """Seconds between two versions of a state for dashboards, at least; 0: they get each one."""
    _resting: dict[StateFanout, None] = field(default_factory=dict, init=False)
    """Fan-outs of which a dashboard rests."""
    _told: dict[Connection, None] = field(default_factory=dict, init=False)
    """Dashboards that were told."""

    @property
    def pause_s(self) -> float:
        """Time between two sweeps."""
        return self.least_interval_s or OFF_S

    def sweep(self) -> Iterator[None]:
        """Show the newest versions, and have those that have come rest; or have all take each version again."""
        newcomers = self.fanouts.newcomers
        if not self.least_interval_s:
            if newcomers.wanted:
                yield from self._wake_all()
            return
        if not newcomers.wanted:
            newcomers.wanted = True
            yield from self._rest_all()
        for number, fanout in enumerate(list(self._resting), start=1):
            if fanout.has_resting:
                yield from _alone(fanout, fanout.show)
            else:
                del self._resting[fanout]
            if not number % LOOKED_AT_TOGETHER:
                yield
        for number, connection in enumerate(list(self._told), start=1):
            if connection.closed:
                del self._told[connection]
            if not number % LOOKED_AT_TOGETHER:
                yield
        joined, newcomers.joined = newcomers.joined, {}
        for number, (fanout, connection) in enumerate(joined, start=1):
            self._rest(fanout, connection)
            if not number % TOLD_TOGETHER:
                yield

    def _rest_all(self) -> Iterator[None]:
        for number, session in enumerate(self.pool, start=1):
            if session.peer.is_dashboard:
                yield from self._rest_states(session.connection)
            if not number % LOOKED_AT_TOGETHER:
                yield

    def _rest_states(self, connection: Connection) -> Iterator[None]:
        states = [each for each in connection.memberships if isinstance(each, Stream) and each.kind is Kind.STATE]
        for number, stream in enumerate(states, start=1):
            # The fan-out of a stream that has ended is gone: it has no members.
            if stream in connection.memberships:
                self._rest_of(stream, connection)
            if number == len(states) or not number % TOLD_TOGETHER:
                yield

    def _rest_of(self, stream: Stream, connection: Connection) -> None:
        fanout = None if isinstance(stream, DerivedStream) else self.fanouts.of(stream)
        if isinstance(fanout, StateFanout):
            self._rest(fanout, connection)

    def _rest(self, fanout: StateFanout, connection: Connection) -> None:
        if connection.closed or fanout.source not in connection.memberships:
            return
        fanout.rest(connection)
        self._resting[fanout] = None
        if connection not in self._told:
            self._told[connection] = None
            reason = "the newest version of each state comes to you at intervals: the gateway is overloaded"
            connection.send(Notice(None, None, None, Code.VIEW_LOWERED, reason))

    def _wake_all(self) -> Iterator[None]:
        newcomers = self.fanouts.newcomers
        newcomers.wanted = False
        newcomers.joined = {}
        fanouts, self._resting = self._resting, {}
        for fanout in fanouts:
            yield from _alone(fanout, fanout.wake)
        told, self._told = self._told, {}
        for number, connection in enumerate(told, start=1):
            if not connection.closed:
                reason = "states come to you as fast as you take them: the gateway is not overloaded any more"
                connection.send(Notice(None, None, None, Code.VIEW_RESTORED, reason))
            if not number % TOLD_TOGETHER:
                yield


def _alone(fanout: StateFanout, steps: Callable[[], Iterator[None]]) -> Iterator[None]:
    """Take the steps of one state: its failure must not cost the others their versions."""
    try:
        yield from steps()
    except Exception:
        logger.exception("versions of %s may not have reached dashboards that rest", fanout.source.name)
