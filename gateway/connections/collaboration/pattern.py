"""GraphPattern of a collaboration graph: the shape in which messages go between the clients of a workflow.

A pure function of a graph. Each pattern gets a score from four numbers, and the scores add up to 1:

* the share of the messages that are requests and replies;
* *spread*, the number of receivers that a sender has, and *gather*, the number of senders that a receiver has, both as
  powers of two, the mean over all edges;
* *weave*, the smaller of both on each edge: above 0 only if receivers that share a sender have several senders each;
* *mutual*, the share of the messages between two clients that is answered by as many in the other direction.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Mapping
from math import exp, log2, sqrt
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.connections.collaboration.graph import Graph, Via
from gateway.ids import ClientId

IDLE_AFTER_S: Final = (30.0, 3.0)
"""Silence in seconds at which a workflow is idle."""

LEAST_WITHOUT_WATCHERS: Final = 0.2
"""Share of the messages that is enough to tell the pattern without those to watchers."""

LEAST_OF_HEAVIEST: Final = 0.03
"""Part of the heaviest edge that another one must have to count: what is less is a sign of life, or long ago."""

WATCHER_HEARS: Final = 0.9
"""Share of the messages whose senders a watcher receives from, at least."""

WATCHER_SENDS: Final = 0.05
"""Messages that a watcher sends, at most, for each that it receives."""

DIRECT: Final = (0.5, 0.1)
"""Share of requests and replies at which the scores are even, and the distance at which they are 1 : e."""
LOPSIDED: Final = (0.5, 0.1)
"""Difference of spread and gather: between one receiver a sender, and two."""
WOVEN: Final = (0.5, 0.1)
"""Weave: between one of both, and two."""
LOPSIDED_WEAVE: Final = (1.1, 0.12)
"""Difference of spread and gather beyond which even woven edges have one direction."""
MUTUAL: Final = (0.5, 0.1)
"""Mutual messages: between none and all."""


class GraphPattern(enum.StrEnum):
    """Shape in which messages go between the clients of a workflow."""

    BROADCAST = "broadcast"
    """Few send, and many receive the same."""
    FAN_IN = "fan_in"
    """Many send to few."""
    PIPELINE = "pipeline"
    """Clients pass messages on, from one stage to the next; two clients, of which one sends, are the shortest one."""
    REQUEST_REPLY = "request_reply"
    """Clients answer each other in pairs, or all of them one in the middle."""
    MESH = "mesh"
    """Many send, each to many."""
    IDLE = "idle"
    """No message for half a minute."""


class Shape(NamedTuple):
    """Numbers by which patterns differ."""

    direct: float
    """Share of the messages that are requests and replies, 0 to 1."""
    spread: float
    gather: float
    weave: float
    mutual: float


def shape_of(graph: Graph) -> Shape:
    """Return the numbers of a graph that has edges."""
    total = sum([edge.messages_per_s for edge in graph.edges])
    direct = sum([edge.messages_per_s for edge in graph.edges if edge.via is not Via.STREAM])
    weights = {edge[:2]: edge.messages_per_s for edge in graph.edges if edge.via is Via.STREAM}
    if not weights:
        return Shape(1.0, 0.0, 0.0, 0.0, 0.0)
    least = LEAST_OF_HEAVIEST * max(weights.values())
    weights = _without_watchers({pair: weight for pair, weight in weights.items() if weight >= least})
    sent, received = defaultdict[ClientId, list[float]](list), defaultdict[ClientId, list[float]](list)
    for (source, target), weight in weights.items():
        sent[source].append(weight)
        received[target].append(weight)
    targets = {source: log2(_effective(each)) for source, each in sent.items()}
    sources = {target: log2(_effective(each)) for target, each in received.items()}
    spread = gather = weave = mass = 0.0
    for (source, target), weight in weights.items():
        # Damped: who works with whom shows in a slow stream as well as in a fast one.
        damped = sqrt(weight)
        mass += damped
        spread += damped * targets[source]
        gather += damped * sources[target]
        weave += damped * min(targets[source], sources[target])
    answered = sum([min(weight, weights.get((target, source), 0.0)) for (source, target), weight in weights.items()])
    return Shape(direct / total, spread / mass, gather / mass, weave / mass, answered / sum(weights.values()))


def scores_of(graph: Graph) -> Mapping[GraphPattern, float]:
    """Return the score of each pattern, 0 to 1; together they are 1."""
    scores = dict.fromkeys(GraphPattern, 0.0)
    if not graph.edges:
        scores[GraphPattern.IDLE] = 1.0
        return MappingProxyType(scores)
    shape = shape_of(graph)
    lopsided = shape.spread - shape.gather
    left = 1.0
    for pattern, score in (
        (GraphPattern.IDLE, _above(graph.silent_s, IDLE_AFTER_S)),
        (GraphPattern.REQUEST_REPLY, _above(shape.direct, DIRECT)),
        (GraphPattern.MESH, _above(shape.weave, WOVEN) * (1.0 - _above(abs(lopsided), LOPSIDED_WEAVE))),
        (GraphPattern.REQUEST_REPLY, _above(shape.mutual, MUTUAL)),
        (GraphPattern.BROADCAST, _above(lopsided, LOPSIDED)),
        (GraphPattern.FAN_IN, _above(-lopsided, LOPSIDED)),
        (GraphPattern.PIPELINE, 1.0),
    ):
        scores[pattern] += left * score
        left *= 1.0 - score
    return MappingProxyType(scores)


def _without_watchers(weights: dict[tuple[ClientId, ClientId], float]) -> dict[tuple[ClientId, ClientId], float]:
    """Return the traffic without clients that receive from nearly all and send nearly nothing, if enough is left."""
    sent, received = defaultdict[ClientId, float](float), defaultdict[ClientId, float](float)
    heard = defaultdict[ClientId, list[ClientId]](list)
    for (source, target), weight in weights.items():
        sent[source] += weight
        received[target] += weight
        heard[target].append(source)
    all_sent = sum(sent.values())
    watchers = {
        client
        for client, sources in heard.items()
        if sent.get(client, 0.0) <= WATCHER_SENDS * received[client]
        and sum([sent[source] for source in sources]) >= WATCHER_HEARS * (all_sent - sent.get(client, 0.0))
    }
    left = {pair: weight for pair, weight in weights.items() if not watchers.intersection(pair)}
    return left if sum(left.values()) >= LEAST_WITHOUT_WATCHERS * all_sent else weights


def _effective(weights: list[float]) -> float:
    """Return the number of equal weights that are as spread as these: 1 if one outweighs all others."""
    damped = [sqrt(weight) for weight in weights]
    return sum(damped) ** 2 / sum(weights)


def _above(value: float, threshold: tuple[float, float]) -> float:
    """Return how clearly a value is above a threshold: 0 to 1, and 0.5 at it."""
    middle, distance = threshold
    return 1.0 / (1.0 + exp(-(value - middle) / distance))
