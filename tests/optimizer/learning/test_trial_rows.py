"""Rows: numbers of trials and chains, also of trials whose figures make no sense."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial
from gateway.optimizer.learning.trial_rows import (
    KINDS,
    ChainKind,
    chain_row,
    estimate,
    kind_of,
    log_ratio,
    payload_row,
    probed_ratios,
)
from gateway.protocol.encoding import Chain
from tests.optimizer.history.records import ANY_TRIAL
from tests.optimizer.learning.trials import ratio_by_rule, trial

CHAINS = st.sampled_from([Chain(False, "lz4"), Chain(True, "zstd", 3), Chain(False, "pco", 8)])


def test_probes_of_a_whole_trial_are_those_of_one_of_probes_alone() -> None:
    whole, probed = trial(1, 4.0), trial(1, 4.0, probed=True)
    assert probed_ratios(whole).keys() == probed_ratios(probed).keys() <= {*KINDS, ChainKind("none", False, False)}
    ratios = probed_ratios(whole)
    assert ratios[kind_of(Chain(True, "lz4"))] == pytest.approx(
        math.log(ratio_by_rule(Chain(True, "lz4"), 4)), abs=0.01
    )


def test_a_chain_is_estimated_by_the_probe_that_is_most_like_it() -> None:
    features = PayloadFeatures(plane_entropy_bits=(4.0, 4.0), unchanged_share=0.75)
    ratios = {kind_of(Chain(True, "zstd", 1)): -1.5, kind_of(Chain(False, "lz4")): -0.5}
    assert estimate(Chain(True, "zstd", 9), ratios, features) == -1.5
    assert estimate(Chain(False, "pco", 8), ratios, features) == -1.5
    assert estimate(Chain(False, "pco", 8), {}, features) == pytest.approx(math.log(0.5))
    delta = Chain(True, "zstd", 1, "xor", 1)
    assert estimate(delta, ratios, features) == pytest.approx(math.log(0.125))
    assert estimate(delta, {kind_of(delta): -3.0}, features) == -3.0


def test_no_ratio_is_above_one() -> None:
    assert log_ratio(7.0) == 0
    assert math.isfinite(log_ratio(0.0))


@given(ANY_TRIAL, CHAINS)
def test_rows_of_any_trial_are_numbers_and_of_one_length(found: ShadowTrial, chain: Chain) -> None:
    ratios = probed_ratios(found)
    row = payload_row(found, ratios) + chain_row(chain, estimate(chain, ratios, found.features))
    assert len(row) == len(payload_row(trial(1, 4.0), {}) + chain_row(chain, 0.0))
    assert all(map(math.isfinite, row))
