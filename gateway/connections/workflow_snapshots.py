"""Snapshots of workflows for monitoring: immutable values, made on request from their collaboration graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.connections.collaboration.graph import Edge
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.collaboration.workflow import Workflow
from gateway.connections.core import Core
from gateway.ids import ClientId, PeerId
from gateway.protocol.messages import ClientType


class Participant(NamedTuple):
    """Client of a collaboration graph."""

    client_id: ClientId
    client_type: ClientType | None
    """``None``: it has gone, and was no admin panel."""
    peer: PeerId | None
    """Number of its connection; ``None``: it has gone."""
    age_s: float | None
    """Age of the connection."""


@dataclass(frozen=True, slots=True)
class WorkflowSnapshot:
    """One workflow with its collaboration graph."""

    id: int
    name: str
    pattern: GraphPattern
    confidence: float
    """Score of the pattern, 0 to 1."""
    pattern_s: float
    """Time for which the workflow has had the pattern."""
    messages_per_s: float
    """Rate of all messages, each receiver counted."""
    bytes_per_s: float
    clients: int
    """Clients that have an edge."""
    panels: int
    """Admin panels among them, which do not count for the pattern."""
    edges: tuple[Edge, ...]
    """All edges of the graph, the heaviest first."""


def workflow_snapshot(core: Core, workflow: Workflow) -> WorkflowSnapshot:
    """Return the numbers of one workflow."""
    graph, recognition = workflow.graph, workflow.recognition
    return WorkflowSnapshot(
        id=workflow.id,
        name=workflow.name,
        pattern=recognition.pattern,
        confidence=recognition.confidence,
        pattern_s=core.clock.monotonic_s() - recognition.since_s,
        messages_per_s=graph.messages_per_s,
        bytes_per_s=graph.bytes_per_s,
        clients=len(graph.clients),
        panels=len(workflow.panels),
        edges=graph.edges,
    )


def participants_of(core: Core, workflow: Workflow, edges: Sequence[Edge]) -> list[Participant]:
    """Return the clients of some edges of a workflow, those of the first ones first."""
    now_s = core.clock.monotonic_s()
    found: list[Participant] = []
    for client_id in dict.fromkeys([client_id for edge in edges for client_id in (edge.source, edge.target)]):
        session = core.pool.newest_of(client_id)
        if session is None:
            known = ClientType.ADMIN_PANEL if client_id in workflow.panels else None
            found.append(Participant(client_id, known, None, None))
        else:
            found.append(Participant(client_id, session.peer.client_type, session.peer.id, now_s - session.opened_s))
    return found
