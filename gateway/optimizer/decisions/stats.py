"""Counts of decisions, and decisions with their verdicts, as values for monitoring."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.optimizer.decisions.decision import Decision, DecisionKey
from gateway.optimizer.decisions.guard import GuardVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionStats:
    """Counts of the decisions of a gateway since its start."""

    following: bool
    """Whether decisions are followed; otherwise the baseline chooses for all."""
    failure: str
    """Reason for which none are followed; empty: they are."""
    streams: int
    """Streams for whose receivers decisions are taken."""
    in_force: int
    """Decisions that are followed now, and differ from the choice of the baseline."""
    table: int
    """Decisions in the table, those of earlier starts of the gateway among them."""
    changes: int
    """Times that the decisions for a stream have changed."""
    taken_back: int
    """Decisions that the guard has taken back."""


@dataclass(frozen=True, slots=True)
class JudgedDecision:
    """Decision with the verdict of the guard."""

    key: DecisionKey
    """Stream and receivers that it is for."""
    decision: Decision
    """The decision."""
    verdict: GuardVerdict
    """The verdict."""
