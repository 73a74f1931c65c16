"""The efficiency evaluator: promises beside what was measured."""

from __future__ import annotations

import pytest

from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.optimizer.learning.communication_pattern_learner import pattern_of
from gateway.optimizer.learning.efficiency_evaluator import Efficiency, evaluate_efficiency, measured_cost_s
from gateway.optimizer.learning.strategy_generator import StrategyGenerator
from tests.optimizer.learning.test_replay import FAST, SLOW, record
from tests.optimizer.learning.trials import trial


def test_a_class_is_told_with_its_promise_and_its_measured_cost() -> None:
    used = record(1, SLOW, chain="lz4", published_bytes=1000, sent_bytes=500, encode_s=1e-6, arrival_interval_s=10.0)
    pattern = pattern_of(used)
    strategy = StrategyGenerator([trial(1, 2.0)]).strategy([pattern])
    (found,) = evaluate_efficiency([pattern, pattern_of(record(2))], strategy).classes
    assert (found.key, found.used, found.is_followed) == (pattern.key, "lz4", False)
    # Half of 256 KiB at 250 KB/s, and the encoding and waiting beside it.
    assert found.measured_s == pytest.approx(0.524, rel=0.1)
    assert found.decision.predicted_s < found.decision.baseline_s
    assert found.payloads_per_s == 0.2


def test_a_class_without_an_outcome_has_no_measured_cost() -> None:
    assert measured_cost_s(pattern_of(record(1))) is None


def test_the_saving_counts_classes_by_their_traffic() -> None:
    patterns = [pattern_of(record(1, SLOW, arrival_interval_s=10.0)), pattern_of(record(1, FAST, tier="loopback"))]
    strategy = StrategyGenerator([trial(1, 2.0)]).strategy(patterns)
    found = evaluate_efficiency(patterns, strategy)
    assert 0 < found.saved_share < 1
    assert Efficiency(()).saved_share == 0
    assert evaluate_efficiency(patterns, DecisionTable()) == Efficiency(())
