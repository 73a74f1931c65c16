"""Adaptive adjuster: changes decisions as traffic changes, and takes those back that do not keep their promise.

One of the four roles of the optimizer. It works on patterns that others have recorded; in a running gateway
:class:`~gateway.optimizer.decisions.decider.Decider` and the guard do the same as traffic comes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.optimizer.decisions.deciding import NEWS_FACTOR, Chains
from gateway.optimizer.decisions.decision import Decision, DecisionKey
from gateway.optimizer.learning.communication_pattern_learner import CommunicationPattern
from gateway.optimizer.learning.efficiency_evaluator import measured_cost_s
from gateway.optimizer.learning.sampled_rule import usual_chains
from gateway.optimizer.learning.strategy_generator import StrategyGenerator, known_figures

BROKEN_SHARE: Final = 0.1
"""Measured cost beyond that of the baseline, as a share of it, at which a decision is taken back."""


@dataclass(frozen=True, slots=True)
class DecisionChange:
    """Change of the decision for one delivery class."""

    key: DecisionKey
    """Stream and receivers."""
    before: Decision | None
    """Decision until now; ``None``: there was none."""
    after: Decision
    """Decision from now on."""
    cause: str
    """Cause of the change, for people."""


def adjusted(
    pattern: CommunicationPattern,
    decision: Decision | None,
    decided: CommunicationPattern | None,
    generator: StrategyGenerator,
    *,
    tried: bool,
) -> DecisionChange | None:
    """Return the change that a delivery class calls for; ``None``: its decision stays, or there is none to be had.

    Args:
        pattern: traffic of the class as it is.
        decision: the decision that holds.
        decided: traffic of the class as it was when the decision was taken; ``None``: not known.
        generator: takes decisions.
        tried: whether the stream was tried since then.
    """
    cost_s = measured_cost_s(pattern)
    if decision is not None and cost_s is not None and pattern.chain == str(decision.delta or decision.chain):
        worst_s = (1 + BROKEN_SHARE) * decision.baseline_s
        if decision.saved_share > 0 and cost_s > worst_s:
            after = _as_baseline(pattern, decision, generator)
            return DecisionChange(pattern.key, decision, after, "it has cost more than the baseline")
    cause = _cause(pattern, decision, decided, tried=tried)
    if not cause:
        return None
    held = None if decision is None else Chains(decision.chain, decision.delta)
    after_all = generator.decision(pattern, held)
    if after_all is None or after_all == decision:
        return None
    return DecisionChange(pattern.key, decision, after_all, cause)


def _cause(
    pattern: CommunicationPattern, decision: Decision | None, decided: CommunicationPattern | None, *, tried: bool
) -> str:
    """Return the cause for a new decision; empty: there is none."""
    if decision is None:
        return "receivers of a link tier, codecs or SDK without a decision"
    if tried:
        return "the stream was tried again"
    if decided is None:
        return ""
    pairs = (
        (pattern.payload_bytes, decided.payload_bytes),
        (pattern.receivers, decided.receivers),
        (pattern.interval_s, decided.interval_s),
    )
    return "its traffic has changed" if any(_differ(*pair) for pair in pairs) else ""


def _differ(one: float | None, other: float | None) -> bool:
    """Return whether two figures differ by more than a factor; one that is not known differs from none."""
    return bool(one) and bool(other) and max(one or 0, other or 0) > NEWS_FACTOR * min(one or 0, other or 0)


def _as_baseline(pattern: CommunicationPattern, decision: Decision, generator: StrategyGenerator) -> Decision:
    """Return the choice of the baseline as a decision, which saves nothing."""
    trial = generator.trial_of(pattern)
    usual = Chains(decision.chain, decision.delta)
    if trial is not None:
        codecs = pattern.key.codecs
        usual = usual_chains(known_figures(trial, codecs, generator.model), trial, codecs)
    reason = f"as the baseline: {decision.chain if decision.delta is None else decision.delta} has cost more"
    return replace(decision, chain=usual.chain, delta=usual.delta, predicted_s=decision.baseline_s, reason=reason)
