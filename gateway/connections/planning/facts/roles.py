"""Roles of clients in a workflow, by its collaboration graph. Pure functions."""

from __future__ import annotations

from collections import Counter
from typing import Final

from gateway.connections.collaboration.graph import Edge, Graph, Via
from gateway.connections.collaboration.pattern import LEAST_OF_HEAVIEST, GraphPattern
from gateway.ids import ClientId

PATTERNS: Final = frozenset({GraphPattern.PIPELINE, GraphPattern.REQUEST_REPLY})
"""Patterns in which some wait for others."""


def awaited_in(graph: Graph, pattern: GraphPattern) -> tuple[ClientId, ...]:
    """Return the clients that others wait for: those that are asked, and the stages of a pipeline that have a next one.

    Traffic that is far less than the heaviest one counts for nothing.
    """
    if pattern not in PATTERNS or not graph.edges:
        return ()
    least = LEAST_OF_HEAVIEST * graph.edges[0].messages_per_s
    heavy = [edge for edge in graph.edges if edge.messages_per_s >= least]
    found = [client for edge in heavy if (client := _waited_for(edge, pattern)) is not None]
    return tuple(dict.fromkeys(found))


def _waited_for(edge: Edge, pattern: GraphPattern) -> ClientId | None:
    if edge.via is Via.REQUEST:
        return edge.target
    if edge.via is Via.STREAM and pattern is GraphPattern.PIPELINE:
        return edge.source
    return None


def gatherers_in(graph: Graph, pattern: GraphPattern) -> tuple[tuple[ClientId, int], ...]:
    """Return the clients of a fan-in that take messages of several senders, and the number of these."""
    if pattern is not GraphPattern.FAN_IN:
        return ()
    senders = Counter([edge.target for edge in graph.edges if edge.via is Via.STREAM])
    return tuple([(client, number) for client, number in senders.items() if number > 1])
