"""Publish rates: a sweep that holds publishers to the budgets of their type and of their workflow.

A publisher above its budget is not read for a while, as one whose receivers lag: nothing that it sends is lost or
refused, it is slowed down. Without a budget nothing is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.connections.admission.settings import AdmissionSettings
from gateway.connections.ports import Clock
from gateway.connections.rates.publish_counts import PublishCounts
from gateway.connections.rates.rate_budget import MAX_DEBT_S, RateBudget
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.connections.sweeps import Sweep
from gateway.protocol.messages import ClientType
from gateway.protocol.names import workflow_of

INTERVAL_S: Final = 0.25
"""Time between two sweeps."""

DEBT_INTERVAL_S: Final = 0.05
"""The same while a group is close to its budget or pays a debt, so that it goes on in time and gets less far ahead."""

SWEEP_SHARE: Final = 0.02
"""Part of one core that sweeps may take: a long one is followed by a longer pause."""

LOOKED_AT_TOGETHER: Final = 512
"""Connections and aliases that are looked at between two chances for the loop."""

MAX_LISTED: Final = 32
"""Workflows in debt that the numbers for monitoring name."""

Group = ClientType | str
"""Type of clients, or the name of a workflow, which is never equal to a type of clients with a budget."""


@dataclass(frozen=True, slots=True)
class RateStats:
    """Budget of one group, and its use."""

    messages_per_s: float
    max_messages_per_s: float
    """Bound; 0: there is none."""
    bytes_per_s: float
    max_bytes_per_s: float
    """Bound; 0: there is none."""
    debt_s: float
    """Time for which its publishers are not read."""


@dataclass(frozen=True, slots=True)
class PublishRateStats:
    """Numbers of all budgets."""

    held_publishers: int
    """Connections that are not read now, because a group of theirs has published too much."""
    types: Mapping[str, RateStats]
    """Types of clients with a budget."""
    workflows: Mapping[str, RateStats]
    """Workflows that are in debt, up to :data:`MAX_LISTED`."""


class _Group:
    """Publishers of one group."""

    __slots__ = ("budget", "held", "loads", "messages", "nbytes")

    def __init__(self, budget: RateBudget) -> None:
        self.budget = budget
        self.held: set[Session] = set()
        self.loads: dict[Session, float] = {}
        self.begin()

    def begin(self) -> None:
        """Begin to count anew, but for what each member has published since the group is in debt."""
        self.messages = self.nbytes = 0.0
        self.loads = {
            session: load
            for session, load in (self.loads.items() if self.budget.debt_s else ())
            if not session.connection.closed
        }

    def add(self, session: Session, messages: float, nbytes: float) -> None:
        """Count what a member has published."""
        self.messages += messages
        self.nbytes += nbytes
        self.loads[session] = self.loads.get(session, 0.0) + self.budget.load(messages, nbytes)

    def settle(self, elapsed_s: float) -> None:
        """Hold those that have published most while the group is in debt, and let all go when it is not."""
        self.budget.spend(self.messages, self.nbytes, elapsed_s)
        if not self.budget.debt_s:
            self.let_go()
            return
        if not self.loads:
            return
        # One that publishes little beside others that publish much goes on. A rounded mean may be above all loads.
        least = min(sum(self.loads.values()) / len(self.loads), max(self.loads.values()))
        for session, load in self.loads.items():
            if load >= least and session not in self.held:
                self.held.add(session)
                session.connection.reading.hold(self)

    def let_go(self) -> None:
        """Read from all members again."""
        for session in self.held:
            session.connection.reading.release(self)
        self.held.clear()


class PublishRates:
    """Budgets of all groups.

    Args:
        pool: all connections.
        settings: the budgets.
        clock: time between sweeps.
        heartbeat_interval_s: longest time for which a publisher is not read: its heartbeat must not fail meanwhile.
    """

    def __init__(self, pool: Pool, settings: AdmissionSettings, clock: Clock, heartbeat_interval_s: float) -> None:
        self._pool = pool
        self._clock = clock
        self._counts = PublishCounts()
        self._max_debt_s = min(MAX_DEBT_S, heartbeat_interval_s)
        self._types = {
            kind: _Group(RateBudget(budget.publishes, self._max_debt_s))
            for kind in ClientType
            if (budget := settings.budget_of(kind)).publishes.bounded
        }
        self._each_workflow = settings.each_workflow.publishes
        self._workflows: dict[str, _Group] = {}
        """Workflows in which something was published lately; one that is at rest is forgotten."""
        self._counted_s = clock.monotonic_s()
        self._spent_s = 0.0

    @property
    def sweep(self) -> Sweep:
        """The sweep; does nothing if there is no budget."""
        return Sweep(lambda: self._pause_s, self._sweep)

    def stats(self) -> PublishRateStats:
        """Return the numbers for monitoring."""
        in_debt = [(name, group) for name, group in self._workflows.items() if group.budget.debt_s]
        held = set[Session]().union(*[group.held for group in self._groups])
        return PublishRateStats(
            held_publishers=len(held),
            types={kind.value: _stats_of(group.budget) for kind, group in self._types.items()},
            workflows={name: _stats_of(group.budget) for name, group in in_debt[:MAX_LISTED]},
        )

    @property
    def _groups(self) -> list[_Group]:
        return [*self._types.values(), *self._workflows.values()]

    @property
    def _pause_s(self) -> float:
        is_tight = any(group.budget.tight for group in self._groups)
        return max(DEBT_INTERVAL_S if is_tight else INTERVAL_S, self._spent_s / SWEEP_SHARE)

    def _sweep(self) -> Iterator[None]:
        if not self._types and not self._each_workflow.bounded:
            return
        self._spent_s = 0.0
        begun_s, looked_at = self._clock.monotonic_s(), 0
        for group in self._groups:
            group.begin()
        self._counts.begin()
        for session in self._pool:
            for binding in list(session.bindings.values()) if session.bindings else ():
                messages, nbytes = self._counts.take(binding)
                if messages:
                    self._add(session, binding.name, messages, nbytes)
                looked_at += 1
            looked_at += 1
            if looked_at >= LOOKED_AT_TOGETHER:
                looked_at = 0
                self._spent_s += self._clock.monotonic_s() - begun_s
                yield
                begun_s = self._clock.monotonic_s()
        now_s = self._clock.monotonic_s()
        elapsed_s, self._counted_s = max(1e-3, now_s - self._counted_s), now_s
        for group in self._groups:
            group.settle(elapsed_s)
        for name in [name for name, group in self._workflows.items() if group.budget.at_rest]:
            del self._workflows[name]
        self._spent_s += self._clock.monotonic_s() - begun_s

    def _add(self, session: Session, stream: str, messages: float, nbytes: float) -> None:
        of_type = self._types.get(session.peer.client_type)
        if of_type is not None:
            of_type.add(session, messages, nbytes)
        if self._each_workflow.bounded:
            name = workflow_of(stream)
            group = self._workflows.get(name)
            if group is None:
                group = self._workflows[name] = _Group(RateBudget(self._each_workflow, self._max_debt_s))
            group.add(session, messages, nbytes)


def _stats_of(budget: RateBudget) -> RateStats:
    bounds = budget.budget
    return RateStats(
        budget.messages_per_s, bounds.messages_per_s, budget.bytes_per_s, bounds.bytes_per_s, budget.debt_s
    )
