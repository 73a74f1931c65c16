"""Replay: costs without look-ahead, of which those of the oracle are the least."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.optimizer.history.record import ShadowTrial, TrafficRecord, TriedChain
from gateway.optimizer.learning.candidate_model import CandidateModel
from gateway.optimizer.learning.replay import (
    BASELINE,
    LEARNED,
    ORACLE,
    Chooser,
    LearnedChoice,
    Moment,
    baseline,
    fixed_chain,
    moments_in,
    replay,
)
from tests.optimizer.history.records import ANY_RECORD, ANY_TRIAL
from tests.optimizer.learning.trials import CODECS, trial, trials

SLOW, FAST = 250e3, 1.25e9


def record(number: int, goodput_bytes_per_s: float = SLOW, **fields: object) -> TrafficRecord:
    """A record of the stream with this number."""
    values: dict[str, object] = {
        "time_ns": 1,
        "stream": f"wf/{number}",
        "format": "frys.v1",
        "codecs": tuple(sorted(CODECS)),
        "chain": "none",
        "dtype": "float32",
        "shape": (65_536,),
        "tensors": 1,
        "payload_bytes": 262_144,
        "messages": 10,
        "receivers": 2,
        "goodput_bytes_per_s": goodput_bytes_per_s,
    }
    return TrafficRecord(**(values | fields))  # type: ignore[arg-type]


def history(
    goodput_bytes_per_s: float, entropies_bits: tuple[float, ...] = (2.0,) * 4
) -> list[TrafficRecord | ShadowTrial]:
    """A stream whose contents have these entropies from trial to trial."""
    return [event for bits in entropies_bits for event in (record(1, goodput_bytes_per_s), trial(1, bits))]


def choosers() -> dict[str, Chooser]:
    return {LEARNED: LearnedChoice(), BASELINE: baseline, "none": fixed_chain("none"), "pco:8": fixed_chain("pco:8")}


@pytest.mark.parametrize(("goodput_bytes_per_s", "best_fixed"), [(SLOW, "pco:8"), (FAST, "none")])
def test_decisions_follow_the_link_where_no_fixed_chain_does(goodput_bytes_per_s: float, best_fixed: str) -> None:
    found = replay(moments_in(history(goodput_bytes_per_s)), choosers())
    assert found.best_fixed == best_fixed
    assert found.policies[LEARNED].regret < 0.05
    assert found.policies[LEARNED].mean_regret < 0.05
    assert found.saving(LEARNED, BASELINE) > 0.1
    assert found.messages == 30
    assert found.unknown_messages == 10


def test_what_a_trial_tells_is_known_behind_it_only() -> None:
    """A stream that becomes random between two trials: whoever packed it before does so once more."""
    found = replay(moments_in(history(FAST * 0.02, (2.0, 7.9))), choosers())
    assert found.policies[LEARNED].cost_s > found.policies[ORACLE].cost_s
    assert found.policies[LEARNED].cost_s > found.policies["none"].cost_s


def test_a_policy_is_given_nothing_of_the_messages_that_it_chooses_for() -> None:
    seen: list[Moment] = []

    def chooser(before: Moment) -> str:
        seen.append(before)
        return "none"

    moments = list(moments_in(history(SLOW, (2.0, 4.0, 6.0))))
    replay(moments, {"spy": chooser})
    assert seen == moments[:-1]


def test_the_oracle_and_decisions_pay_for_trials_and_others_do_not() -> None:
    events = history(FAST)
    events[1::2] = [replace(trial(1, 2.0), cpu_s=100.0)] * 4
    found = replay(moments_in(events), choosers())
    assert found.policies[ORACLE].cost_s > found.trials_s == 300
    assert found.policies["none"].cost_s < 1


def test_records_without_messages_and_of_payloads_as_published_are_no_outcomes() -> None:
    records = record(1, messages=0), record(1, chain="published"), record(1, published_encoding="zstd")
    assert list(moments_in([*records, trial(1, 2.0)])) == []


def test_records_between_two_trials_are_one_moment_of_each_class() -> None:
    found = list(moments_in([record(1), record(1), record(1, FAST, tier="loopback"), trial(1, 2.0)]))
    assert [(each.record.messages, each.classes) for each in found] == [(20, 2), (10, 2)]


def test_a_trial_of_probes_is_completed_by_a_model() -> None:
    model = CandidateModel.fitted(trials(60))
    whole = list(moments_in(history(SLOW)))
    probed = [each._replace(sampled=trial(1, 2.0, probed=True)) for each in whole]
    alone = replay(probed, {LEARNED: LearnedChoice()}).policies[LEARNED]
    completed = replay(probed, {LEARNED: LearnedChoice(model)}).policies[LEARNED]
    assert completed.regret < alone.regret


def test_nothing_to_replay_is_told() -> None:
    found = replay([], {LEARNED: LearnedChoice()})
    assert (found.policies, found.messages, found.best_fixed) == ({}, 0, "")


def test_trials_that_say_nothing_of_plain_payloads_charge_nobody() -> None:
    odd = replace(trial(1, 2.0), tried=(TriedChain("zstd:1", 10, 0.0, 0.0),))
    found = replay(moments_in([record(1), odd, record(1), odd]), {LEARNED: LearnedChoice()})
    assert found.messages == 0


EVENTS = st.lists(
    st.one_of(ANY_RECORD, ANY_TRIAL).map(lambda event: replace(event, stream="wf/1", view="")), max_size=12
)


@settings(max_examples=100)
@given(EVENTS)
def test_no_policy_is_cheaper_than_the_oracle_whatever_was_recorded(events: list[TrafficRecord | ShadowTrial]) -> None:
    sound = [*history(SLOW), *events, *history(SLOW)]
    found = replay(moments_in(sound), {LEARNED: LearnedChoice(), BASELINE: baseline})
    assert found.policies[LEARNED].cost_s >= found.policies[ORACLE].cost_s
    assert found.policies[LEARNED].regret >= -1e-9
