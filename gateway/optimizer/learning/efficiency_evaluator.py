"""Efficiency evaluator: what decisions promise, and what the traffic of a history has cost as it was measured.

One of the four roles of the optimizer. Its figures tell which decisions do not keep their promise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.optimizer.decisions.decision import Decision, DecisionKey
from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.optimizer.delivery_cost import delivery_cost
from gateway.optimizer.learning.communication_pattern_learner import CommunicationPattern
from gateway.optimizer.learning.strategy_generator import delivery_by


@dataclass(frozen=True, slots=True)
class ClassEfficiency:
    """Decision for one delivery class beside its measured traffic."""

    key: DecisionKey
    """Stream and receivers."""
    decision: Decision
    """The decision, with the cost that it predicts for a payload, and that of the baseline, in seconds."""
    used: str
    """Chain of most of the last messages; another one than that of the decision where this was not followed."""
    measured_s: float | None
    """Delivery cost of a payload by that chain, by its measured outcome, 0 or more; ``None``: it was not measured."""
    measured_ratio: float | None
    """Measured size sent over size of the payload by that chain; ``None``: it was not measured."""
    payloads_per_s: float
    """Number of payloads a second to all receivers, 0 or more; 0: not known."""

    @property
    def is_followed(self) -> bool:
        """Whether the chain in use is that of the decision."""
        return self.used == self.decision.sent_by


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Decisions of a strategy beside the measured traffic."""

    classes: tuple[ClassEfficiency, ...]
    """All delivery classes for which there is a decision."""

    @property
    def saved_share(self) -> float:
        """Predicted saving against the baseline as a share of its cost, with the traffic of each class; 0 to 1, and
        below 0 if decisions cost more.
        """
        weights = [each.payloads_per_s or 1.0 for each in self.classes]
        pairs = list(zip(weights, self.classes, strict=True))
        predicted_s = sum([weight * each.decision.predicted_s for weight, each in pairs])
        baseline_s = sum([weight * each.decision.baseline_s for weight, each in pairs])
        return 1 - predicted_s / baseline_s if baseline_s > 0 else 0.0


def evaluate_efficiency(patterns: Iterable[CommunicationPattern], strategy: DecisionTable) -> Efficiency:
    """Return the decisions for delivery classes beside their measured traffic.

    Args:
        patterns: traffic of the classes; those without a decision are left out.
        strategy: the decisions.
    """
    found = []
    for pattern in patterns:
        decision = strategy.get(pattern.key)
        if decision is not None:
            ratio = None if pattern.measured is None else pattern.measured.ratio
            per_s = pattern.receivers / pattern.interval_s if pattern.interval_s else 0.0
            found.append(ClassEfficiency(pattern.key, decision, pattern.chain, measured_cost_s(pattern), ratio, per_s))
    return Efficiency(tuple(found))


def measured_cost_s(pattern: CommunicationPattern) -> float | None:
    """Return the delivery cost of a payload by the chain in use, as measured; ``None``: it was not."""
    if pattern.measured is None:
        return None
    return delivery_cost(pattern.measured, delivery_by(pattern, [pattern.measured])).total_s
