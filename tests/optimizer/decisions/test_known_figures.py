"""Known figures: the mean of like trials, and at once the newest of others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.optimizer.decisions.known_figures import ALIKE, WEIGHT, KnownFigures
from gateway.optimizer.history.record import ShadowTrial, TriedChain
from tests.optimizer.history.records import shadow_trial

SIZE = 131_072


def trial(encoded_bytes: float = 60_000, encode_s: float = 1e-3, *, drifted: bool = False) -> ShadowTrial:
    tried = TriedChain("lz4", int(encoded_bytes), encode_s, encode_s / 2)
    return shadow_trial(tried=(tried,), drifted=drifted)


def known(*trials: ShadowTrial) -> KnownFigures:
    figures = KnownFigures()
    for each in trials:
        figures.take(each)
    return figures


def test_like_trials_are_averaged() -> None:
    (lz4,) = known(trial(), trial(66_000, 2e-3)).all()
    assert lz4.chain == "lz4"
    assert lz4.ratio * SIZE == pytest.approx(60_000 + WEIGHT * 6_000)
    assert lz4.encode_s_per_byte * SIZE == pytest.approx(1e-3 * (1 + WEIGHT))
    assert lz4.decode_s_per_byte == pytest.approx(lz4.encode_s_per_byte / 2)


@pytest.mark.parametrize("factor", [1.01 * ALIKE, 0.99 / ALIKE])
def test_other_contents_count_at_once(factor: float) -> None:
    newest = trial(60_000 * factor, 2e-3)
    assert known(trial(), newest) == known(newest)


def test_a_trial_because_of_a_change_counts_at_once() -> None:
    newest = trial(61_000, drifted=True)
    assert known(trial(), newest) == known(newest)


def test_chains_that_the_last_trial_lacks_are_not_known() -> None:
    both = trial()
    both = replace(both, tried=(*both.tried, TriedChain("none", SIZE, 0.0, 0.0)))
    assert [each.chain for each in known(both, trial()).all()] == ["lz4"]
    assert [each.chain for each in known(trial(), both).all()] == ["lz4", "none"]
    assert KnownFigures().all() == ()
