"""The adaptive adjuster: decisions change with the traffic and with trials, and end where they cost more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.learning.adaptive_adjuster import DecisionChange, adjusted
from gateway.optimizer.learning.communication_pattern_learner import CommunicationPattern, pattern_of
from gateway.optimizer.learning.strategy_generator import StrategyGenerator
from tests.optimizer.learning.test_replay import SLOW, record
from tests.optimizer.learning.trials import trial

GENERATOR = StrategyGenerator([trial(1, 2.0)])
PATTERN = pattern_of(record(1, SLOW, arrival_interval_s=10.0))
DECISION = GENERATOR.decision(PATTERN)


def change(
    pattern: CommunicationPattern, generator: StrategyGenerator = GENERATOR, *, tried: bool = False
) -> DecisionChange | None:
    return adjusted(pattern, DECISION, PATTERN, generator, tried=tried)


def test_what_is_as_it_was_stays() -> None:
    assert change(PATTERN) is None
    assert change(PATTERN, tried=True) is None


def test_receivers_without_a_decision_get_one() -> None:
    found = adjusted(PATTERN, None, None, GENERATOR, tried=False)
    assert found is not None
    assert (found.before, found.after) == (None, DECISION)
    assert "without a decision" in found.cause


def test_a_trial_of_other_contents_changes_the_decision() -> None:
    found = change(PATTERN, GENERATOR.with_trials([replace(trial(1, 7.9), time_ns=2**62)]), tried=True)
    assert found is not None
    assert found.before == DECISION != found.after
    assert found.cause == "the stream was tried again"


@pytest.mark.parametrize("fields", [{"payload_bytes": 32_768}, {"receivers": 40}, {"interval_s": 0.1}])
def test_other_traffic_has_the_decision_taken_anew(fields: dict[str, float]) -> None:
    found = change(replace(PATTERN, **fields))  # type: ignore[arg-type]
    assert found is not None
    assert found.cause == "its traffic has changed"


def test_a_decision_that_costs_more_than_the_baseline_is_taken_back() -> None:
    assert DECISION is not None
    measured = EncodingFigures(str(DECISION.chain), 1.0, 1e-6, 1e-6)
    found = change(replace(PATTERN, chain=str(DECISION.chain), measured=measured))
    assert found is not None
    assert found.after.chain != DECISION.chain
    assert found.after.saved_share == 0
    assert found.cause == "it has cost more than the baseline"


def test_a_decision_that_keeps_its_promise_is_not_taken_back() -> None:
    assert DECISION is not None
    measured = EncodingFigures(str(DECISION.chain), 0.15, 8e-9, 2e-9)
    assert change(replace(PATTERN, chain=str(DECISION.chain), measured=measured)) is None
