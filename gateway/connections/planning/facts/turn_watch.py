"""Turn watch: streams whose messages wait for the turns of others at receivers that lag, measured by counters."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from gateway.connections.collaboration.traffic import StreamRate
from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.stream_queue import CATCH_UP_BYTES
from gateway.connections.planning.context import QueuedFacts, ReceiverFacts
from gateway.connections.planning.facts.taken_rate import SMOOTHING, TakenRate
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.rules.priorities import ENDS_S, STILL_LIGHT
from gateway.protocol.messages import Kind
from gateway.protocol.names import workflow_of
from gateway.streams.run import Source
from gateway.streams.stream import Stream

MAX_RECEIVERS: Final = 32
MAX_STREAMS: Final = 64
"""Receivers whose streams wait for each other, and streams that do, which are watched at a time. So many of both take
some 4 ms of a look (CPython 3.11, November 2026)."""

MAX_LOOKED_AT: Final = 1024
"""Receivers that lag among which they are found."""

MAX_QUEUES: Final = 64
"""Queues of one receiver that are added up, in some 40 us: it may have 100,000. Others are among them in their turn."""

WATCHED_S: Final = 60.0
"""Time for which a stream is watched that nothing of has waited, and that is not preferred: longer than the trial of
the end of a preference."""


class _Round(NamedTuple):
    """One turn of each queue of a receiver whose small messages are ready; those of bulk wait for the link."""

    turns: Mapping[Source, int]
    """Bytes of the next turn of each queue."""
    nbytes: int
    """Bytes of all of them."""
    bytes_per_s: float
    """Rate at which the receiver takes them."""
    age_s: float
    """Age of its states."""

    def bytes_beside(self, stream: Stream) -> int:
        """Return the bytes of the turns of other streams."""
        return self.nbytes - self.turns.get(stream, 0)

    def turns_beside(self, stream: Stream) -> int:
        """Return the number of the turns of other streams."""
        return len(self.turns) - (stream in self.turns)


class _Receiver:
    """Receiver at which several queues are ready."""

    __slots__ = ("age_s", "taken")

    def __init__(self, connection: Connection, now_s: float) -> None:
        self.taken = TakenRate(connection, now_s)
        self.age_s = 0.0
        """Age of its states when it was measured last."""


class _Watched:
    """Stream that has waited for the turns of others."""

    __slots__ = ("bytes_per_s", "late_s", "needed_s")

    def __init__(self, bytes_per_s: float, now_s: float) -> None:
        self.bytes_per_s = bytes_per_s
        """Smoothed."""
        self.needed_s = self.late_s = now_s
        """Times at which it waited, or was preferred, last; and at which the others took long last."""


class TurnWatch:
    """Streams whose small messages share receivers that lag with others.

    Args:
        lag_changes: connections that have fallen behind or caught up.
    """

    def __init__(self, lag_changes: LagChanges[Connection]) -> None:
        self._lag_changes = lag_changes
        self._receivers: dict[Connection, _Receiver] = {}
        self._watched: dict[Stream, _Watched] = {}

    def __len__(self) -> int:
        """Return the number of streams that are watched."""
        return len(self._watched)

    def forget(self) -> None:
        """Measure anew from now on."""
        self._receivers = {}
        self._watched = {}

    def read(
        self,
        rates: Mapping[Stream, StreamRate],
        receivers: Iterable[ReceiverFacts],
        settings: Collection[Site],
        now_s: float,
    ) -> Generator[None, None, list[QueuedFacts]]:
        """Return what is known now. Yields now and then, for the loop.

        Args:
            rates: streams that had messages lately.
            receivers: receivers that are measured, with the age of their states.
            settings: sites with settings in force.
            now_s: time by the clock that only goes forward.
        """
        ages_s = {each.peer: each.staleness_s for each in receivers if each.staleness_s is not None}
        crowded = islice(filter(_is_crowded, islice(self._lag_changes.lagging, MAX_LOOKED_AT)), MAX_RECEIVERS)
        self._receivers = {each: self._receivers.get(each) or _Receiver(each, now_s) for each in crowded}
        rounds: dict[Connection, _Round] = {}
        for connection, receiver in self._receivers.items():
            receiver.taken.look(now_s)
            receiver.age_s = ages_s.get(connection.peer.id, receiver.age_s)
            turns = _turns_of(connection)
            nbytes, rate = sum(turns.values()), receiver.taken.bytes_per_s
            if rate:
                rounds[connection] = _Round(turns, nbytes, rate, receiver.age_s)
                self._find(turns, nbytes, rates, now_s)
            yield
        facts: list[QueuedFacts] = []
        for stream, watched in list(self._watched.items()):
            if Site(Knob.PRIORITY, stream.name) in settings:
                watched.needed_s = now_s
            if stream.ended is not None or now_s - watched.needed_s > WATCHED_S:
                del self._watched[stream]
                continue
            rate = rates[stream].bytes_per_s if stream in rates else 0.0
            watched.bytes_per_s += SMOOTHING * (rate - watched.bytes_per_s)
            facts.append(_facts_of(stream, watched, rounds, now_s))
            yield
        return facts

    def _find(self, turns: Mapping[Source, int], nbytes: int, rates: Mapping[Stream, StreamRate], now_s: float) -> None:
        """Watch the streams of one receiver whose turns are far smaller than the mean one."""
        most_bytes = STILL_LIGHT * nbytes / max(1, len(turns))
        for source, turn_bytes in turns.items():
            if not isinstance(source, Stream) or source.kind is Kind.STATE or turn_bytes > most_bytes:
                continue
            if (watched := self._watched.get(source)) is not None:
                watched.needed_s = now_s
            elif source in rates and len(self._watched) < MAX_STREAMS:
                self._watched[source] = _Watched(rates[source].bytes_per_s, now_s)


def _is_crowded(connection: Connection) -> bool:
    """Return whether several queues are ready; those of a receiver that takes only paced states wait for its link."""
    return connection.outbox is not None and len(connection.outbox.turns.ready) > 1


def _turns_of(connection: Connection) -> dict[Source, int]:
    return {
        queue.source: min(queue.waiting_bytes, CATCH_UP_BYTES)
        for queue in islice(connection.made_outbox().turns.ready, MAX_QUEUES)
        if queue.sends_runs and not queue.needs_link
    }


def _facts_of(stream: Stream, watched: _Watched, rounds: Mapping[Connection, _Round], now_s: float) -> QueuedFacts:
    taking = {connection: each for connection, each in rounds.items() if stream in connection.memberships}
    number = max(1, len(taking))
    waiting_bytes = sum([connection.made_outbox().waiting_bytes_of(stream) for connection in taking]) / number
    bytes_beside = sum([each.bytes_beside(stream) for each in taking.values()])
    turns_beside = sum([each.turns_beside(stream) for each in taking.values()])
    round_s = sum([each.bytes_beside(stream) / each.bytes_per_s for each in taking.values()]) / number
    if round_s >= ENDS_S:
        watched.late_s = now_s
    rate = watched.bytes_per_s
    wait_s = waiting_bytes / rate if rate else None  # by Little's law
    return QueuedFacts(
        stream.name,
        workflow_of(stream.name),
        rate,
        len(taking),
        wait_s if waiting_bytes else 0.0,
        round_s,
        bytes_beside / max(1, turns_beside),
        sum([each.age_s for each in taking.values()]) / number,
        now_s - watched.late_s,
    )
