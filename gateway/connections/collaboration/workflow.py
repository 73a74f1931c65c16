"""Workflow: the collaboration graph of one workflow and the pattern that it has, as values for whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.connections.collaboration.graph import Graph
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.collaboration.recognition import Recognition
from gateway.ids import ClientId


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow at the end of a sweep. A later sweep makes a new value."""

    id: int
    """Number by which lists order the workflows; it stays as long as the workflow has a graph."""
    name: str
    """First segment of the names of its streams, or the address of requests between clients that share none."""
    graph: Graph = field(default_factory=Graph)
    recognition: Recognition = field(default_factory=Recognition)
    panels: frozenset[ClientId] = frozenset()
    """Clients of the graph that watch: the admin panels, which do not count for the pattern."""


class WorkflowStats(NamedTuple):
    """Numbers of all workflows."""

    patterns: Mapping[GraphPattern, int]
    """Workflows by their pattern."""
    edges: int
    """Edges of all graphs."""
