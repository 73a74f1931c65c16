"""Participants: connections that take part in each workflow, counted as they come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from heapq import nlargest
from types import MappingProxyType
from typing import Final

from gateway.connections.admission.settings import ClientBudget
from gateway.errors import Code, RequestRefused
from gateway.ids import PeerId
from gateway.protocol.messages import ClientType
from gateway.protocol.names import workflow_of

MAX_LISTED: Final = 32
"""Workflows that the numbers for monitoring name: those with the most connections."""

_WILDCARD: Final = "*"


class Participants:
    """Connections that take part in each workflow, if their number, or the bytes that wait for them, have a bound.

    A connection takes part in a workflow by each alias and each subscription that names it; a pattern whose first
    segment is a wildcard names none. Admin panels are not counted, and have no bound. Memory is bounded by the aliases
    and subscriptions that connections may have.

    Args:
        budget: of each workflow. If it bounds neither connections nor queued bytes, nothing is counted.

    Attributes:
        refused: aliases and subscriptions that were refused, because their workflow had too many connections.
    """

    def __init__(self, budget: ClientBudget) -> None:
        self._max_connections = budget.connections
        self._counts = bool(budget.connections or budget.queued_bytes)
        self._uses: dict[PeerId, Counter[str]] = {}
        """Aliases and subscriptions of each connection, by workflow; none of them is 0."""
        self._connections: Counter[str] = Counter()
        """Connections by workflow; none of them is 0."""
        self.refused = 0

    def __len__(self) -> int:
        """Return the number of workflows that a connection takes part in."""
        return len(self._connections)

    def connections_of(self, workflow: str) -> int:
        """Return the number of connections that take part in a workflow."""
        return self._connections.get(workflow, 0)

    def workflows_of(self, peer: PeerId) -> Collection[str]:
        """Return the workflows that a connection takes part in."""
        return self._uses.get(peer, ())

    def check(self, peer: PeerId, kind: ClientType, name: str) -> None:
        """Check that a connection may have one alias or subscription more.

        Args:
            peer: number of the connection.
            kind: type of its client.
            name: a stream or a pattern.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``, its workflow has as many connections as it may have.
        """
        limit, workflow = self._max_connections, self._counted(kind, name)
        if not limit or workflow is None or workflow in self._uses.get(peer, ()):
            return
        if self._connections[workflow] < limit:
            return
        self.refused += 1
        problem = f"workflow {workflow} has admission.each_workflow.connections={limit} already"
        raise RequestRefused(Code.LIMIT_EXCEEDED, f"{problem}: try again when some have left it")

    def enter(self, peer: PeerId, kind: ClientType, name: str) -> None:
        """Count an alias or a subscription, which :meth:`check` has let pass, until :meth:`leave`."""
        workflow = self._counted(kind, name)
        if workflow is None:
            return
        uses = self._uses.setdefault(peer, Counter())
        uses[workflow] += 1
        if uses[workflow] == 1:
            self._connections[workflow] += 1

    def leave(self, peer: PeerId, name: str) -> None:
        """Count an alias or a subscription no more; one of a connection that is gone, or not counted, is ignored."""
        uses, workflow = self._uses.get(peer), workflow_of(name)
        if uses is None or workflow not in uses:
            return
        if uses[workflow] > 1:
            uses[workflow] -= 1
            return
        del uses[workflow]
        self._leave(workflow)
        if not uses:
            del self._uses[peer]

    def drop(self, peer: PeerId) -> None:
        """Count nothing of a connection that is gone any more."""
        for workflow in self._uses.pop(peer, ()):
            self._leave(workflow)

    def most(self) -> Mapping[str, int]:
        """Return the connections of the workflows that have most, up to :data:`MAX_LISTED`."""
        most = nlargest(MAX_LISTED, self._connections.items(), key=lambda each: each[1])
        return MappingProxyType(dict(most))

    def _counted(self, kind: ClientType, name: str) -> str | None:
        """Return the workflow of a stream or a pattern; ``None`` if it does not count."""
        if not self._counts or kind is ClientType.ADMIN_PANEL:
            return None
        workflow = workflow_of(name)
        return None if _WILDCARD in workflow else workflow

    def _leave(self, workflow: str) -> None:
        self._connections[workflow] -= 1
        if not self._connections[workflow]:
            del self._connections[workflow]
