"""The candidate model: learns a rule, also of streams that it has not seen, and makes no figures of nonsense."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.optimizer.candidates import candidates
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial, TriedChain
from gateway.optimizer.learning import candidate_model
from gateway.optimizer.learning.candidate_model import MIN_TRIALS, CandidateModel
from gateway.protocol.encoding import PLAIN, Chain
from tests.optimizer.history.records import ANY_TRIAL
from tests.optimizer.learning.trials import CODECS, FLOATS, ratio_by_rule, trial, trials

CHAINS = candidates(FLOATS, CODECS, integers=False, based=False)


def fitted(found: list[ShadowTrial], seed: int = 0) -> CandidateModel:
    model = CandidateModel.fitted(found, seed)
    assert model is not None
    return model


def is_sound(figures: EncodingFigures) -> bool:
    times = figures.encode_s_per_byte, figures.decode_s_per_byte
    return 0 < figures.ratio <= 1 and all(math.isfinite(each) and each >= 0 for each in times)


@pytest.mark.parametrize("probed", [True, False])
@pytest.mark.parametrize("entropy_bits", [1.0, 4.0, 7.0])
def test_a_rule_is_learned_for_streams_that_were_not_tried(entropy_bits: float, probed: bool) -> None:
    stream = trial(1000, entropy_bits, probed=True)
    known = stream if probed else replace(stream, tried=())
    for figures in fitted(trials(60)).figures(known, CHAINS):
        expected = ratio_by_rule(Chain.parse(figures.chain), entropy_bits)
        assert figures.ratio == pytest.approx(expected, rel=0.25), figures.chain


def test_plain_payloads_are_known() -> None:
    model = fitted(trials(20))
    assert model.figures(trial(1, 4.0), [PLAIN]) == (EncodingFigures("none", 1.0, 0.0, 0.0),)
    assert model.figures(trial(1, 4.0), []) == ()


def test_the_same_seed_and_trials_give_the_same_figures_in_whatever_order_they_come() -> None:
    found = trials(30)
    first = fitted(found, 7).figures(trial(99, 3.0), CHAINS)
    assert fitted(found[::-1], 7).figures(trial(99, 3.0), CHAINS) == first


def test_too_few_trials_make_no_model() -> None:
    assert CandidateModel.fitted([]) is None
    assert CandidateModel.fitted(trials(MIN_TRIALS - 1)) is None
    assert CandidateModel.fitted([replace(each, tried=()) for each in trials(50)]) is None


def test_a_stream_that_is_tried_often_does_not_crowd_out_the_others() -> None:
    often = [replace(trial(0, 4.0), time_ns=1_800_000_000_000_000_000 + number) for number in range(500)]
    assert fitted([*trials(20), *often]).trials == 20 - 1 + candidate_model.MAX_STREAM_TRIALS


def test_rows_are_bounded_and_the_newest_trials_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate_model, "MAX_ROWS", 400)
    assert fitted(trials(300)).trials < 30


def test_streams_of_one_kind_alone_make_a_model() -> None:
    model = fitted([trial(number, 4.0) for number in range(20)])
    assert all(map(is_sound, model.figures(trial(99, 4.0), CHAINS)))


def test_features_that_are_no_numbers_and_absurd_outcomes_are_survived() -> None:
    nan = float("nan")
    features = PayloadFeatures(zero_share=nan, unchanged_share=nan, plane_entropy_bits=(nan, 4.0))
    odd = [
        replace(trial(100, 4.0), features=features),
        replace(trial(101, 4.0), sample_bytes=0),
        replace(trial(102, 4.0), tried=(TriedChain("zstd:1", 10**18, nan, -1.0), TriedChain("zfp", 1, 1.0, 1.0))),
    ]
    model = fitted([*trials(20), *odd])
    assert all(map(is_sound, model.figures(replace(trial(103, 4.0), features=features, tried=()), CHAINS)))


@settings(max_examples=10, deadline=None)
@given(st.lists(ANY_TRIAL, max_size=20), ANY_TRIAL)
def test_whatever_trials_say_figures_are_sound(found: list[ShadowTrial], known: ShadowTrial) -> None:
    model = fitted([*trials(10), *found])
    assert all(map(is_sound, model.figures(known, CHAINS)))
