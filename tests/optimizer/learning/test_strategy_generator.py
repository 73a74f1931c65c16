"""The strategy generator: a decision for each class by its own trial, else by a model, else none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.connections.link_tier import TIERS
from gateway.optimizer.decisions.decision import PREDICTED
from gateway.optimizer.history.record import PayloadFeatures, TrafficRecord
from gateway.optimizer.learning.communication_pattern_learner import CommunicationPattern, pattern_of
from gateway.optimizer.learning.strategy_generator import StrategyGenerator, known_figures
from gateway.protocol.encoding import PLAIN
from tests.optimizer.history.records import record
from tests.optimizer.learning.trials import CODECS, trial, trials


def pattern(number: int, tier: str, entropy_bits: float = 2.0, **fields: object) -> CommunicationPattern:
    values: dict[str, object] = {
        "codecs": tuple(sorted(CODECS)),
        "tier": tier,
        "payload_bytes": 262_144,
        "shape": (65_536,),
        "features": PayloadFeatures(zero_share=0.0, plane_entropy_bits=(entropy_bits,) * 4),
    }
    found: TrafficRecord = record(number, **(values | fields))
    return pattern_of(found)


def test_each_tier_gets_its_own_decision() -> None:
    generator = StrategyGenerator([trial(1, 2.0)])
    patterns = [pattern(1, tier.name) for tier in TIERS]
    table = generator.strategy(patterns)
    chains = [str(decision.chain) for _, decision in table]
    assert len(table) == len(TIERS)
    assert chains[0] == "pco:8"
    assert chains[-1] == str(PLAIN)
    assert all(decision.predicted_s <= decision.baseline_s for _, decision in table)


def test_a_stream_that_was_not_tried_is_decided_by_the_others_and_says_so() -> None:
    generator = StrategyGenerator(trials(60))
    decision = generator.decision(pattern(999, "2 Mbit/s"))
    assert decision is not None
    assert decision.chain.codec == "pco"
    assert decision.reason.startswith(PREDICTED)


def test_with_few_trials_a_stream_that_was_not_tried_has_no_decision() -> None:
    generator = StrategyGenerator([trial(1, 2.0)])
    assert generator.model is None
    assert generator.decision(pattern(999, "2 Mbit/s")) is None
    assert len(generator.strategy([pattern(999, "2 Mbit/s")])) == 0


def test_receivers_get_only_what_they_can_decode() -> None:
    generator = StrategyGenerator(trials(60))
    decision = generator.decision(pattern(5, "2 Mbit/s", codecs=("lz4", "shuffle")))
    assert decision is not None
    assert decision.chain.names <= {"lz4", "shuffle"}


def test_decisions_are_the_same_for_the_same_trials_and_seed() -> None:
    patterns = [pattern(number, "20 Mbit/s", number / 8) for number in range(100, 140)]
    first = StrategyGenerator(trials(40), 3).strategy(patterns)
    again = StrategyGenerator(trials(40)[::-1], 3).strategy(patterns)
    assert first.to_json() == again.to_json()


@pytest.mark.parametrize("dtype", ["", "float9", "uint8"])
def test_dtypes_of_any_kind_are_decided(dtype: str) -> None:
    generator = StrategyGenerator(trials(20))
    odd = replace(trial(7, 4.0), dtype=dtype, tried=trial(7, 4.0).tried[:2])
    assert known_figures(odd, CODECS, generator.model)
