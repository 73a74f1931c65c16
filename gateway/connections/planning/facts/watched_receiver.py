"""Watched receiver: a connection that lags or is paced, measured from one look to the next."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import inf, isinf
from typing import Final

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.link_reading import NamedPosition
from gateway.connections.planning.context import ReceiverFacts
from gateway.connections.planning.facts.burst_time import CarriedBytes, burst_s, queued_s
from gateway.connections.socket_counts import TcpInfo
from gateway.protocol.messages import Kind
from gateway.protocol.names import workflow_of
from gateway.protocol.signals import Ping
from gateway.streams.derived import DerivedStream
from gateway.streams.run import Source
from gateway.streams.span import held_bytes_of, offsets_of
from gateway.streams.stream import Stream

MAX_STATES: Final = 64
"""States of one receiver that are counted."""

MAX_LOOKED_AT: Final = 1024
"""Streams of one receiver among which they are found, in some 50 us: it may have 100,000."""

LONG_DELAY_S: Final = 1.0
"""Age from which a PING without an answer is a measurement: a shorter one may be answered in time."""

SMOOTHING: Final = 0.3
"""Weight of a new excess delay."""

MAX_DELAY_S: Final = 60.0
"""Longest delay of an answer that is believed: its time comes from the client."""

REMEMBERED: Final = 0.9
"""Part of the bytes taken, and of their time, that is kept from one look that found any to the next."""

LEAST_BUSY_BYTES: Final = 1024
"""Bytes taken between two looks from which these tell something of the line. PINGs alone are fewer: they wait for
nothing, and their acknowledgement may be delayed."""


def states_of(connection: Connection) -> Iterator[Stream]:
    """Yield the states that a connection takes, up to a bound; to be taken at once, before it joins or leaves any."""
    streams = islice(connection.memberships, MAX_LOOKED_AT)
    states = (source for source in streams if isinstance(source, Stream) and source.kind is Kind.STATE)
    return islice(states, MAX_STATES)


def version_bytes_of(state: Stream) -> float:
    """Return the bytes of the newest version of a state; 0: there is none.

    Offsets tell no number of versions: a view has those of its state, also of versions that it leaves out.
    """
    if state.newest is None:
        return 0.0
    first, last = offsets_of(state.newest)
    return held_bytes_of(state.newest) / (last - first + 1)


class WatchedReceiver:
    """Measurements of one connection.

    A PING at each look tells how long bytes are under way: it goes behind everything that has left the outbox. The
    shortest round trip that is known, of packets or of pings, is taken for the way without a queue.

    Args:
        connection: the connection.
        now_s: time of the first look.

    Attributes:
        connection: the same.
        lagged_s: time of the last look at which it lagged.
    """

    __slots__ = (
        "_arrived_s",
        "_asked_ns",
        "_busy_s",
        "_bytes",
        "_conflated",
        "_conflated_s",
        "_excess_delay_s",
        "_interval_s",
        "_longest_queued_s",
        "_looked_s",
        "_seen",
        "_shortest_s",
        "_taken_bytes",
        "_tcp",
        "_version_bytes",
        "connection",
        "lagged_s",
    )

    def __init__(self, connection: Connection, now_s: float) -> None:
        self.connection = connection
        self.lagged_s = self._looked_s = self._conflated_s = self._arrived_s = now_s
        self._shortest_s = inf
        self._asked_ns = 0
        self._excess_delay_s: float | None = None
        """Smoothed."""
        self._tcp: TcpInfo | None = None
        self._taken_bytes = self._busy_s = 0.0
        """Decayed sums of what its system has taken, and of the time that this took."""
        self._longest_queued_s = 0.0
        """Longest time by which the way was longer at a look that found it busy, decayed from one such to the next."""
        self._version_bytes = 0.0
        """Mean size of the versions of the last span that had any."""
        self._interval_s: float | None = None
        """Time between two versions of a state, smoothed; ``None``: none has come."""
        self._seen: dict[Source, tuple[int, int]] = {}
        """Published bytes of each state, and versions that were delivered, at the last look."""
        outbox = connection.made_outbox()
        self._conflated, self._bytes = outbox.conflated, outbox.taken_bytes

    def look(self, now_s: float, now_ns: int) -> ReceiverFacts | None:
        """Return what is known now, and ask anew; ``None``: the client has not answered yet.

        Args:
            now_s: time by the clock that only goes forward.
            now_ns: time by the clock that stamps PINGs.
        """
        connection = self.connection
        if connection.lagging:
            self.lagged_s = now_s
        span_s, self._looked_s = max(now_s - self._looked_s, 1e-3), now_s
        delay_s = self._take_delay(now_ns)
        versions, demand_bytes, interval_s, workflow = self._take_states(now_s)
        if versions:
            self._version_bytes = demand_bytes / versions
        time_s = self._take_burst_s()
        outbox = connection.made_outbox()
        conflated, carried_bytes = outbox.conflated - self._conflated, outbox.taken_bytes - self._bytes
        self._conflated, self._bytes = outbox.conflated, outbox.taken_bytes
        if conflated:
            self._conflated_s = now_s
        link, known_s, staleness_s = connection.link, self._excess_delay_s, None
        if delay_s is not None:
            excess_delay_s = delay_s if isinf(self._shortest_s) else max(0.0, delay_s - self._shortest_s)
            staleness_s = excess_delay_s + interval_s / 2
            known_s = excess_delay_s if known_s is None else known_s + SMOOTHING * (excess_delay_s - known_s)
        self._excess_delay_s = known_s
        if known_s is None:
            return None
        return ReceiverFacts(
            connection.peer.id,
            connection.peer.client_id,
            connection.peer.client_type,
            workflow,
            demand_bytes / span_s,
            carried_bytes / span_s if link is None else link.goodput_bytes_per_s or carried_bytes / span_s,
            known_s,
            staleness_s,
            now_s - self._conflated_s,
            *self._bottleneck_of_states(),
            burst_s=time_s,
        )

    def _take_burst_s(self) -> float:
        """Return the time of a burst on the line, at the rate of bytes that were taken while any were on their way."""
        before, now = self._tcp, self.connection.transport.socket_counts().tcp
        self._tcp = now
        taken_bytes = 0 if before is None or now is None else now.acknowledged_bytes - before.acknowledged_bytes
        if before is not None and now is not None and taken_bytes >= LEAST_BUSY_BYTES:
            self._taken_bytes = REMEMBERED * self._taken_bytes + taken_bytes
            self._busy_s = REMEMBERED * self._busy_s + now.busy_s - before.busy_s
            self._longest_queued_s = max(queued_s(now), REMEMBERED * self._longest_queued_s)
        if now is None or not self._version_bytes:
            return 0.0
        taken = CarriedBytes(self._taken_bytes, self._busy_s, self._longest_queued_s)
        return burst_s(self._version_bytes, taken, now.smallest_rtt_s, self.connection.bulk_window)

    def _take_delay(self, now_ns: int) -> float | None:
        """Return the delay that the last PING has shown, or shows so far, and send another one behind its answer."""
        connection, asked_ns = self.connection, self._asked_ns
        delay_s = None
        if asked_ns and connection.answered_ns < asked_ns:
            delay_s = (now_ns - asked_ns) / 1e9
            return min(delay_s, MAX_DELAY_S) if delay_s > LONG_DELAY_S else None
        if asked_ns:
            delay_s = min(max(connection.answer_delay_ns / 1e9, 0.0), MAX_DELAY_S)
        round_trip, link = connection.round_trip, connection.link
        if round_trip is not None:
            self._shortest_s = min(self._shortest_s, round_trip.smallest_s)
        if link is not None and link.tcp is not None:
            self._shortest_s = min(self._shortest_s, link.tcp.rtt_s)
        self._asked_ns = now_ns
        connection.send(Ping(now_ns))
        return delay_s

    def _bottleneck_of_states(self) -> tuple[Bottleneck, NamedPosition | None]:
        """Return the part that keeps its states waiting, and the state in which its program is furthest behind.

        A program that leaves only other streams unread keeps no state waiting.
        """
        link, source_of = self.connection.link, self.connection.accounts.source_of
        if link is None or link.positions is None:
            return Bottleneck.UNKNOWN if link is None else link.bottleneck, None
        found = [(position, source_of(position.stream)) for position in link.positions]
        states = [
            NamedPosition(source.name, position.offset, position.behind)
            for position, source in found
            if source is not None and source.kind is Kind.STATE
        ]
        if not states:
            return link.counted_bottleneck, None
        return link.bottleneck, max(states, key=lambda state: state.behind)

    def _take_states(self, now_s: float) -> tuple[float, int, float, str]:
        """Return the versions and bytes published to it since the last look, the time between two that have been sent,
        and the workflow with most bytes."""
        seen: dict[Source, tuple[int, int]] = {}
        versions, nbytes, most, arrived = 0.0, 0, 0, 0
        workflow, lacks = "", False
        for source in states_of(self.connection):
            self.connection.book(source)
            delivered, following = self.connection.accounts.delivered_of(source.id)
            lacks = lacks or following < (source.parent if isinstance(source, DerivedStream) else source).next_offset
            before = self._seen.get(source, (source.published_bytes, delivered))
            seen[source] = source.published_bytes, delivered
            published_bytes = source.published_bytes - before[0]
            if version_bytes := version_bytes_of(source):
                versions += published_bytes / version_bytes
            nbytes += published_bytes
            arrived += delivered - before[1]
            if published_bytes >= most:
                most, workflow = published_bytes, workflow_of(source.name)
        self._seen = seen
        return versions, nbytes, self._take_interval(now_s, arrived, lacks=lacks), workflow

    def _take_interval(self, now_s: float, arrived: int, *, lacks: bool) -> float:
        """Return the time between two versions of a state: at least that since the last one, if another is to come."""
        span_s = now_s - self._arrived_s
        if arrived:
            interval_s = span_s * len(self._seen) / arrived
            known_s = self._interval_s
            self._interval_s = interval_s if known_s is None else (known_s + interval_s) / 2
        if arrived or not lacks:
            self._arrived_s = now_s
        if not arrived and not lacks:
            return 0.0
        return max(self._interval_s or 0.0, 0.0 if arrived else span_s)
