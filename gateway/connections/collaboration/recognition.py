"""Recognition of a pattern over time: a pattern is given up only for one that stays ahead of it.

A pure function of the recognition before and of the graph now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.connections.collaboration.graph import Graph
from gateway.connections.collaboration.pattern import GraphPattern, scores_of

HELD_S: Final = 3.0
"""Time for which another pattern must be ahead of one that is older before it is recognized; if it is younger, its age.
Silence, and its end, count at once."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """GraphPattern that a workflow has, and how clear that is."""

    pattern: GraphPattern = GraphPattern.IDLE
    confidence: float = 1.0
    """Score of the pattern now, 0 to 1; below 0.5 while another one is ahead that has not stayed so for long."""
    since_s: float = 0.0
    """Time since which the workflow has the pattern, by the clock of the gateway that only goes forward."""
    challenger: GraphPattern | None = None
    """GraphPattern that is ahead now; ``None``: the one that is recognized."""
    challenged_s: float = 0.0
    """Time since which another one is ahead."""


def recognize(before: Recognition, graph: Graph, now_s: float) -> Recognition:
    """Return the recognition of a workflow now.

    Args:
        before: the last one; that of a new workflow is idle.
        graph: its graph now.
        now_s: time now, in seconds from some fixed moment.
    """
    scores = scores_of(graph)
    ahead = max(scores, key=scores.__getitem__)
    if ahead is before.pattern:
        return Recognition(ahead, scores[ahead], before.since_s)
    challenged_s = before.challenged_s if before.challenger is not None else now_s
    silence = GraphPattern.IDLE in (ahead, before.pattern)
    if silence or now_s - challenged_s >= min(HELD_S, challenged_s - before.since_s):
        return Recognition(ahead, scores[ahead], now_s)
    return Recognition(before.pattern, scores[before.pattern], before.since_s, ahead, challenged_s)
