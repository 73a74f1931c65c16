"""Queue budgets: bounds of outboxes that keep the bytes waiting for a client type or a workflow within its budget.

The receivers for which most waits have the tightest bound: their events are left to history, and are read from there
later. Without a budget nothing is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from gateway.connections.admission.participants import Participants
from gateway.connections.admission.settings import AdmissionSettings
from gateway.connections.outbound.connection import Connection
from gateway.connections.overload.measures import MIN_OUTBOX_BYTES
from gateway.protocol.messages import ClientType

CALM_SHARE: Final = 0.5
"""Share of a budget below which the bound of its outboxes is doubled, until it is as without the budget."""

MAX_LISTED: Final = 32
"""Workflows with a bound that the numbers for monitoring name."""


@dataclass(frozen=True, slots=True)
class QueueUse:
    """Use of the budget of one group."""

    queued_bytes: int
    """Bytes that waited for the receivers of the group that lag, at the last look."""
    max_queued_bytes: int
    """Budget."""
    outbox_limit_bytes: int
    """Bound of each of their outboxes."""


@dataclass(frozen=True, slots=True)
class QueueBudgetStats:
    """Numbers of all budgets."""

    bounded_outboxes: int
    """Connections whose outbox has a tighter bound because of a budget."""
    types: Mapping[str, QueueUse]
    """Types of clients with a budget."""
    workflows: Mapping[str, QueueUse]
    """Workflows whose outboxes have a tighter bound, up to :data:`MAX_LISTED`."""


class GroupQueues:
    """Bytes that wait for the receivers of one group, counted by powers of two.

    Args:
        max_bytes: budget of the group.
        limit_bytes: bound of an outbox without the budget.

    Attributes:
        queued_bytes: bytes that wait for all.
        outbox_limit_bytes: bound of each outbox, as it follows from the last round.
    """

    __slots__ = ("_bytes", "_counts", "_limit_bytes", "_max_bytes", "outbox_limit_bytes", "queued_bytes")

    def __init__(self, max_bytes: int, limit_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._limit_bytes = self.outbox_limit_bytes = limit_bytes
        self.begin()

    @property
    def bounded(self) -> bool:
        """Whether the bound is tighter than without the budget."""
        return self.outbox_limit_bytes < self._limit_bytes

    def begin(self) -> None:
        """Begin a round."""
        self.queued_bytes = 0
        self._counts: dict[int, int] = {}
        self._bytes: dict[int, int] = {}

    def add(self, nbytes: int) -> None:
        """Count the bytes that wait for one receiver."""
        size = nbytes.bit_length()
        self.queued_bytes += nbytes
        self._counts[size] = self._counts.get(size, 0) + 1
        self._bytes[size] = self._bytes.get(size, 0) + nbytes

    def settle(self) -> None:
        """End a round: tighten the bound if more waits than the budget, and loosen it if much less does."""
        if self.queued_bytes > self._max_bytes:
            self.outbox_limit_bytes = min(self.outbox_limit_bytes, max(self._level(), MIN_OUTBOX_BYTES))
        elif self.bounded and self.queued_bytes < CALM_SHARE * self._max_bytes:
            self.outbox_limit_bytes = min(2 * self.outbox_limit_bytes, self._limit_bytes)

    def stats(self) -> QueueUse:
        """Return the numbers for monitoring."""
        return QueueUse(self.queued_bytes, self._max_bytes, self.outbox_limit_bytes)

    def _level(self) -> int:
        """Return the largest power of two that keeps to the budget if no more than that waits for any receiver."""
        sizes = range(max(self._counts), 0, -1)
        return next((1 << size for size in sizes if self._left_bytes(size) <= self._max_bytes), 0)

    def _left_bytes(self, size: int) -> int:
        """Return the bytes that wait if no more than ``2**size`` wait for any receiver."""
        below = sum(nbytes for each, nbytes in self._bytes.items() if each <= size)
        return below + (sum(count for each, count in self._counts.items() if each > size) << size)


class QueueBudgets:
    """Budgets of all client types and workflows for the bytes in outboxes.

    To be looked at in rounds: :meth:`begin`, :meth:`add` for each connection that lags, and :meth:`settle`. A workflow
    of which nobody lags and whose bound is as usual is forgotten.

    Args:
        settings: the budgets.
        participants: connections that take part in each workflow.
        limit_bytes: bound of an outbox without the budgets.

    Attributes:
        bounded_outboxes: connections whose outbox had a tighter bound in the last round.
    """

    def __init__(self, settings: AdmissionSettings, participants: Participants, limit_bytes: int) -> None:
        self._participants = participants
        self._limit_bytes = limit_bytes
        self._types: dict[ClientType, GroupQueues] = {
            kind: GroupQueues(max_bytes, limit_bytes)
            for kind in ClientType
            if (max_bytes := settings.budget_of(kind).queued_bytes)
        }
        self._max_workflow_bytes = settings.each_workflow.queued_bytes
        self._workflows: dict[str, GroupQueues] = {}
        self._bounded = self.bounded_outboxes = 0

    def __len__(self) -> int:
        """Return the number of workflows that are remembered."""
        return len(self._workflows)

    def begin(self) -> None:
        """Begin a round."""
        self._bounded = 0
        for group in (*self._types.values(), *self._workflows.values()):
            group.begin()

    def add(self, connection: Connection, limit_bytes: int) -> int:
        """Count what waits for a connection that lags, and return the bound of its outbox.

        Args:
            connection: the connection.
            limit_bytes: bound that it has otherwise.
        """
        outbox, bound = connection.outbox, limit_bytes
        if outbox is None:
            return bound
        for group in self._groups_of(connection):
            group.add(outbox.waiting_bytes)
            bound = min(bound, group.outbox_limit_bytes)
        self._bounded += bound < limit_bytes
        return bound

    def settle(self) -> None:
        """End a round: the bounds that follow are those of the next one."""
        self.bounded_outboxes = self._bounded
        for group in (*self._types.values(), *self._workflows.values()):
            group.settle()
        idle = [name for name, group in self._workflows.items() if not (group.queued_bytes or group.bounded)]
        for name in idle:
            del self._workflows[name]

    def stats(self) -> QueueBudgetStats:
        """Return the numbers for monitoring."""
        bounded = [(name, group) for name, group in self._workflows.items() if group.bounded]
        return QueueBudgetStats(
            self.bounded_outboxes,
            MappingProxyType({kind.value: group.stats() for kind, group in self._types.items()}),
            MappingProxyType({name: group.stats() for name, group in bounded[:MAX_LISTED]}),
        )

    def _groups_of(self, connection: Connection) -> Iterator[GroupQueues]:
        """Yield the groups with a budget of a connection."""
        of_type = self._types.get(connection.peer.client_type)
        if of_type is not None:
            yield of_type
        if not self._max_workflow_bytes:
            return
        for name in self._participants.workflows_of(connection.peer.id):
            group = self._workflows.get(name)
            if group is None:
                group = self._workflows[name] = GroupQueues(self._max_workflow_bytes, self._limit_bytes)
            yield group
