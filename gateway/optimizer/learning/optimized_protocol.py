"""Optimized protocol: the four roles together, offline, on a recorded history.

:func:`learn_from_history` makes a protocol of records and trials: the chain that each delivery class gets, and the
worth of that. :func:`optimize_realtime` applies it to a look at present traffic, and tells what is to be changed. Both
are pure functions of values, and give the same for the same history and seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.optimizer.decisions.decision import DecisionKey
from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.optimizer.learning.adaptive_adjuster import DecisionChange, adjusted
from gateway.optimizer.learning.communication_pattern_learner import CommunicationPattern, CommunicationPatternLearner
from gateway.optimizer.learning.efficiency_evaluator import Efficiency, evaluate_efficiency
from gateway.optimizer.learning.replay import BASELINE, LEARNED, LearnedChoice, Replayed, baseline, moments_in, replay
from gateway.optimizer.learning.strategy_generator import StrategyGenerator


@dataclass(frozen=True, slots=True)
class ProtocolMetrics:
    """Counts of a history, and what decisions would have been worth on it."""

    records: int
    """Traffic records, those without messages among them."""
    trials: int
    """Shadow trials."""
    classes: int
    """Delivery classes that had messages."""
    decided: int
    """Delivery classes for which there is a decision."""
    model_trials: int | None
    """Trials to which the model is fitted; ``None``: there are too few for one."""
    replayed: Replayed
    """Cost of decisions, of the baseline and of the oracle on the history, without look-ahead."""


@dataclass(frozen=True, slots=True)
class AdaptiveProtocol:
    """Part of a protocol by which it follows changes."""

    generator: StrategyGenerator
    """Generator by which decisions are taken anew."""
    decided: dict[DecisionKey, CommunicationPattern]
    """Traffic of each delivery class as it was when its decision was taken."""


@dataclass(frozen=True, slots=True)
class OptimizedProtocol:
    """Protocol that was learned from a history."""

    strategy: DecisionTable
    """Decision for each delivery class."""
    efficiency: Efficiency
    """Promise of the decisions, beside the measured traffic."""
    adaptive: AdaptiveProtocol
    """Part by which the protocol follows changes."""
    metrics: ProtocolMetrics
    """Counts, and the result of a replay."""


@dataclass(frozen=True, slots=True)
class TrafficSnapshot:
    """Look at present traffic."""

    records: tuple[TrafficRecord, ...]
    """Last records of the delivery classes; those without messages are no outcomes."""
    trials: tuple[ShadowTrial, ...] = ()
    """Shadow trials since the protocol was learned, or since the last look."""


@dataclass(frozen=True, slots=True)
class ProtocolOptimization:
    """Outcome of a look at present traffic."""

    application: DecisionTable
    """Decisions that hold for the delivery classes of the snapshot from now on."""
    adjustment: tuple[DecisionChange, ...]
    """Decisions that have changed, with the causes."""
    improvement: float
    """Predicted saving against the baseline as a share of its cost, with the present traffic: 0 to 1."""
    feedback: Efficiency
    """The same decisions beside the measured traffic."""
    protocol: OptimizedProtocol
    """Protocol with these changes, for the next look."""


def learn_from_history(records: Iterable[TrafficRecord | ShadowTrial], seed: int = 0) -> OptimizedProtocol:
    """Return the protocol that a history teaches.

    Args:
        records: traffic records and shadow trials in the order in which they were written, as
            :func:`~gateway.optimizer.history.reading.read_events` returns them. Without trials there are no decisions.
        seed: of the model, 0 or more.
    """
    events = list(records)
    learner = CommunicationPatternLearner()
    trials = [event for event in events if isinstance(event, ShadowTrial)]
    for event in events:
        if isinstance(event, TrafficRecord):
            learner.add(event)
    patterns = learner.patterns()
    generator = StrategyGenerator(trials, seed)
    strategy = generator.strategy(patterns)
    metrics = ProtocolMetrics(
        records=len(events) - len(trials),
        trials=len(trials),
        classes=len(patterns),
        decided=len(strategy),
        model_trials=None if generator.model is None else generator.model.trials,
        replayed=replay(moments_in(events), {LEARNED: LearnedChoice(), BASELINE: baseline}),
    )
    adaptive = AdaptiveProtocol(generator, {pattern.key: pattern for pattern in patterns})
    return OptimizedProtocol(strategy, evaluate_efficiency(patterns, strategy), adaptive, metrics)


def optimize_realtime(snapshot: TrafficSnapshot, protocol: OptimizedProtocol) -> ProtocolOptimization:
    """Apply a protocol to present traffic, and return what holds and what has changed. The protocol stays as it is.

    Args:
        snapshot: the traffic.
        protocol: from :func:`learn_from_history`, or of the last look.
    """
    learner = CommunicationPatternLearner()
    for record in snapshot.records:
        learner.add(record)
    generator = protocol.adaptive.generator.with_trials(snapshot.trials)
    tried = {(trial.stream, trial.view) for trial in snapshot.trials}
    strategy, decided = DecisionTable(), dict(protocol.adaptive.decided)
    for key, decision in protocol.strategy:
        strategy.put(key, decision)
    application, changes, patterns = DecisionTable(), [], learner.patterns()
    for pattern in patterns:
        key = pattern.key
        before = strategy.get(key)
        is_tried = (key.stream, key.view) in tried
        change = adjusted(pattern, before, decided.get(key), generator, tried=is_tried)
        if change is not None:
            changes.append(change)
            strategy.put(key, change.after)
            decided[key] = pattern
        holds = strategy.get(key)
        if holds is not None:
            application.put(key, holds)
    feedback = evaluate_efficiency(patterns, application)
    after = OptimizedProtocol(strategy, feedback, AdaptiveProtocol(generator, decided), protocol.metrics)
    return ProtocolOptimization(application, tuple(changes), feedback.saved_share, feedback, after)
