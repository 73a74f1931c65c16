"""Collaboration graph of one workflow: its clients as nodes, decayed traffic between them as edges.

Values and pure functions: counts of a span of time go in, a graph comes out. Knows no connection and no clock.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, replace
from heapq import nlargest
from math import inf
from operator import attrgetter
from typing import Final, NamedTuple

from gateway.ids import ClientId

HALF_LIFE_S: Final = 5.0
"""Time in which traffic that has ceased halves in the graph."""

PLACES: Final = 16
"""Senders, and receivers, of one workflow that have edges: the heaviest. A pattern shows in these as well as in all."""

FEW_PLACES: Final = 4
"""The same, of a workflow for which there is no more room: as few as show a pattern."""

FORGOTTEN_PER_S: Final = 0.001
"""Rate of messages below which an edge is forgotten: half a minute behind a single message."""


STEP: Final = 256
"""Flows between two chances for others: some 0.3 ms."""


class Via(enum.StrEnum):
    """Way in which messages get from one client to another."""

    STREAM = "stream"
    REQUEST = "request"
    REPLY = "reply"


class Flow(NamedTuple):
    """Messages from one client to another in a span of time."""

    source: ClientId
    target: ClientId
    via: Via
    messages: float
    """Number of messages; not whole for requests to a group, which its members share."""
    nbytes: float


@dataclass(frozen=True, slots=True)
class FlowCounts:
    """Traffic of one workflow in a span of time."""

    flows: tuple[Flow, ...] = ()
    """Each pair of clients at most once for each way."""
    messages: float = 0.0
    """All messages, each receiver counted, those without a flow as well."""
    nbytes: float = 0.0
    """Bytes of these messages."""


class Edge(NamedTuple):
    """Decayed traffic from one client to another."""

    source: ClientId
    target: ClientId
    via: Via
    messages_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Graph:
    """Decayed traffic between the clients of one workflow."""

    edges: tuple[Edge, ...] = ()
    """The heaviest first; between at most :data:`PLACES` senders and as many receivers."""
    messages_per_s: float = 0.0
    """Rate of the messages of all clients, each receiver counted, those without an edge as well."""
    bytes_per_s: float = 0.0
    silent_s: float = inf
    """Time since the last message, to the end of the span that had it; infinite: there was none."""

    @property
    def clients(self) -> frozenset[ClientId]:
        """The clients that have an edge."""
        return frozenset([edge.source for edge in self.edges]) | {edge.target for edge in self.edges}

    def without(self, clients: Collection[ClientId]) -> Graph:
        """Return the graph without the edges of some clients; with them, if no others are there."""
        left = [edge for edge in self.edges if edge.source not in clients and edge.target not in clients]
        return replace(self, edges=tuple(left)) if left else self


NO_COUNTS: Final = FlowCounts()
"""No traffic."""

_source, _target, _weight = attrgetter("source"), attrgetter("target"), attrgetter("messages_per_s")


def advance(graph: Graph, counts: FlowCounts, elapsed_s: float, places: int = PLACES) -> Graph:
    """Return the graph after a span of time: traffic before it has decayed, traffic in it is added.

    A rate that stays the same is approached by half of the difference in each :data:`HALF_LIFE_S`, whatever the spans.

    Args:
        graph: the graph at the beginning of the span.
        counts: the traffic in the span.
        elapsed_s: its length, above 0.
        places: senders, and receivers, that keep edges.
    """
    steps = advancing(graph, counts, elapsed_s, places)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            advanced: Graph = stop.value
            return advanced


def advancing(graph: Graph, counts: FlowCounts, elapsed_s: float, places: int = PLACES) -> Generator[None, None, Graph]:
    """Do what :func:`advance` does; yield now and then if there are many flows."""
    kept = 2.0 ** (-elapsed_s / HALF_LIFE_S)
    share = (1.0 - kept) / elapsed_s
    rates = {edge[:3]: (edge.messages_per_s * kept, edge.bytes_per_s * kept) for edge in graph.edges}
    for number, flow in enumerate(counts.flows, start=1):
        messages_per_s, bytes_per_s = rates.get(flow[:3], (0.0, 0.0))
        rates[flow[:3]] = messages_per_s + flow.messages * share, bytes_per_s + flow.nbytes * share
        if not number % STEP:
            yield
    edges = [Edge(*between, *rate) for between, rate in rates.items() if rate[0] >= FORGOTTEN_PER_S]
    if len(edges) > STEP:
        yield
    return Graph(
        tuple(sorted(_with_places(edges, places), key=_weight, reverse=True)),
        graph.messages_per_s * kept + counts.messages * share,
        graph.bytes_per_s * kept + counts.nbytes * share,
        0.0 if counts.messages else graph.silent_s + elapsed_s,
    )


def _with_places(edges: list[Edge], places: int) -> list[Edge]:
    """Return the edges between the heaviest senders and the receivers that get most from these.

    Senders count twice as receivers: of very many clients those are kept that both send and receive.
    """
    sent = _sums(edges, _source)
    if len(sent) > places:
        sent = {client: sent[client] for client in nlargest(places, sent, key=sent.__getitem__)}
        edges = [edge for edge in edges if edge.source in sent]
    received = _sums(edges, _target)
    if len(received) > places:
        kept = set(nlargest(places, received, key=lambda client: received[client] * (1 + (client in sent))))
        edges = [edge for edge in edges if edge.target in kept]
    return edges


def _sums(edges: list[Edge], client_of: Callable[[Edge], ClientId]) -> dict[ClientId, float]:
    sums: defaultdict[ClientId, float] = defaultdict(float)
    for edge in edges:
        sums[client_of(edge)] += edge.messages_per_s
    return sums
