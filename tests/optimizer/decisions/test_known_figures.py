"""Known figures: the mean of like trials, and at once the newest of others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.optimizer.decisions.decision import PREDICTED, Decision
from gateway.optimizer.decisions.known_figures import ALIKE, WEIGHT, KnownFigures
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.history.record import ShadowTrial, TriedChain
from gateway.protocol.encoding import Chain
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


PREDICTION = EncodingFigures("pco:8", 0.2, 1e-9, 1e-9)
DECISION = Decision(Chain(False, "pco", 8), None, 0.1, 0.2, "half the bytes")


def test_predictions_stand_in_for_what_was_not_tried() -> None:
    figures = KnownFigures()
    figures.take(trial(), probed=True)
    sources = [figures.source]
    figures.complete([PREDICTION, EncodingFigures("lz4", 0.9, 1e-9, 1e-9)])
    assert [(each.chain, each.ratio) for each in figures.all()] == [("lz4", 60_000 / SIZE), ("pco:8", 0.2)]
    sources.append(figures.source)
    figures.take(trial())
    assert [each.chain for each in figures.all()] == ["lz4"]
    sources.append(figures.source)
    figures.complete([PREDICTION])
    assert [*sources, figures.source] == ["probe", "probe and model", "trial", "trial and model"]


def test_probes_do_not_count_in_the_mean() -> None:
    probed = KnownFigures()
    probed.take(trial(), probed=True)
    probed.take(trial(66_000))
    assert probed == known(trial(66_000))


def test_a_decision_tells_where_its_figures_come_from() -> None:
    figures = known(trial())
    assert figures.told(DECISION).source == "trial"
    figures.complete([PREDICTION])
    told = figures.told(DECISION)
    assert (told.source, told.reason) == ("trial and model", PREDICTED + "half the bytes")
    assert figures.told(replace(DECISION, chain=Chain(False, "lz4"))).reason == "half the bytes"
    assert figures.told(replace(DECISION, predicted_s=0.2)).source == "baseline"
    only = KnownFigures()
    only.complete([PREDICTION])
    assert only.told(DECISION).source == "model"
