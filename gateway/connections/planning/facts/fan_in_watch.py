"""Fan-in watch: receivers of many senders that are measured, while they lag or their senders have a credit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable
from typing import Final

from gateway.connections.outbound.connection import Connection
from gateway.connections.planning.context import FanInFacts, StreamFacts, WorkflowFacts
from gateway.connections.planning.facts.watched_fan_in import WatchedFanIn
from gateway.connections.planning.knob import Knob, Site
from gateway.protocol.messages import Kind

MAX_FAN_INS: Final = 64
"""Receivers of many senders that are watched at a time."""
WATCHED_S: Final = 60.0
"""Time for which a receiver is watched that lags no more, and whose senders have no credit any more: longer than the
trial of the end of a credit."""

STEP: Final = 64
"""Workflows that are looked at between two chances for the loop: some hundred microseconds."""


class FanInWatch:
    """Receivers of many senders.

    Args:
        connection_of: returns the newest connection of a client, if it stands.

    Attributes:
        settling: sites of credits at which what had waited before still does.
    """

    def __init__(self, connection_of: Callable[[str], Connection | None]) -> None:
        self._connection_of = connection_of
        self._watched: dict[Connection, WatchedFanIn] = {}
        self.settling: Collection[Site] = ()

    def __len__(self) -> int:
        return len(self._watched)

    def forget(self) -> None:
        """Measure anew from now on."""
        self._watched = {}
        self.settling = ()

    def read(
        self,
        workflows: Collection[WorkflowFacts],
        streams: Iterable[StreamFacts],
        settings: Collection[Site],
        now_s: float,
    ) -> Generator[None, None, list[FanInFacts]]:
        """Return what is known now. Yields now and then, for the loop.

        Args:
            workflows: those in which clients gather messages of several senders, and others.
            streams: traffic of their streams.
            settings: sites with settings in force.
            now_s: time by the clock that only goes forward.
        """
        watched = self._watched
        senders = yield from self._find(workflows, now_s)
        rates = defaultdict[str, float](float)
        for stream in streams:
            if stream.kind is Kind.EVENT:
                rates[stream.workflow] += stream.messages_per_s
        facts: list[FanInFacts] = []
        settling: set[Site] = set()
        for connection, fan_in in list(watched.items()):
            site = Site(Knob.SENDER_CREDIT, connection.peer.client_id, connection.peer.id)
            if site in settings or (connection.lagging and connection in senders):
                fan_in.needed_s = now_s
            if connection.closed or now_s - fan_in.needed_s > WATCHED_S:
                del watched[connection]
                continue
            facts.append(fan_in.look(now_s, senders.get(connection, 0), rates[fan_in.workflow]))
            if fan_in.settling:
                settling.add(site)
        self.settling = settling
        return facts

    def _find(self, workflows: Iterable[WorkflowFacts], now_s: float) -> Generator[None, None, dict[Connection, int]]:
        """Watch receivers that lag, and return the numbers of senders of all."""
        senders: dict[Connection, int] = {}
        for number, workflow in enumerate(workflows, start=1):
            for client_id, count in workflow.gatherers:
                connection = self._connection_of(client_id)
                if connection is None or connection.closed:
                    continue
                senders[connection] = count
                if connection.lagging and connection not in self._watched and len(self._watched) < MAX_FAN_INS:
                    self._watched[connection] = WatchedFanIn(connection, workflow.name, now_s)
            if not number % STEP:
                yield
        return senders
