"""Stats of admission, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNKNOWN = "unknown"
"""Name for the type of clients that have claimed none."""


@dataclass(frozen=True, slots=True)
class BudgetStats:
    """Budget of one type of clients, and its use."""

    connections: int
    """Connections of clients of this type."""
    max_connections: int
    """Bound on them; 0: there is none."""


@dataclass(frozen=True, slots=True)
class AdmissionStats:
    """Numbers of one admission."""

    admitted: Mapping[str, int]
    """Clients that were let in before their handshake, by the type that they claimed."""
    refused: Mapping[str, Mapping[str, int]]
    """Clients that were refused, by reason, and by type."""
    connections: int
    max_connections: int
    reserved_connections: int
    """Connections of these that only admin panels get."""
    addresses: int
    """Addresses that are remembered for their bounds."""
    budgets: Mapping[str, BudgetStats]
    """Budgets by type of clients."""
    max_workflow_connections: int
    """Bound on the connections that take part in one workflow; 0: there is none, and they are not counted."""
    refused_by_workflows: int
    """Aliases and subscriptions that were refused for it."""
    workflows: Mapping[str, int]
    """Connections of the workflows that have most."""
