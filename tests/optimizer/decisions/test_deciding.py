"""Deciding: the chains of least cost, and when they are those of the baseline or stay as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.link_tier import TIERS, LinkTier
from gateway.optimizer.decisions.advice import figures_of
from gateway.optimizer.decisions.deciding import (
    APART_SAVING,
    TOGETHER_SAVING,
    UNENCODED,
    Chains,
    by_promise,
    decide,
    pays_apart,
)
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.delivery_cost import Delivery, EncodingFigures
from gateway.protocol.encoding import PLAIN, Chain
from tests.optimizer.history.records import shadow_trial

IMAGE = figures_of(shadow_trial())
LZ4, ZSTD = Chain(False, "lz4"), Chain(False, "zstd", 1)
DELTA = Chain(False, "zstd", 1, "xor", 1)
DELTAS = (*IMAGE, EncodingFigures(str(DELTA), 0.05, 4e-9, 1e-9))
SLOW, MIDDLE, LOOPBACK = TIERS[1], TIERS[2], TIERS[-1]

RATES = st.floats(1e-12, 1e-6)
ANY_FIGURES = st.lists(
    st.builds(
        EncodingFigures,
        st.sampled_from(["none", "lz4", "zstd:1", "shuffle+zstd:3", "xor:1+lz4", "brotli:9"]),
        st.floats(0.001, 1.2),
        RATES,
        RATES,
    ),
    unique_by=lambda each: each.chain,
    max_size=6,
)


def decided(
    tried: tuple[EncodingFigures, ...] = IMAGE,
    tier: LinkTier = SLOW,
    baseline: Chains = UNENCODED,
    held: Chains | None = None,
) -> Decision:
    delivery = Delivery(payload_bytes=524_288, goodput_bytes_per_s=tier.goodput_bytes_per_s)
    found = decide(tried, delivery, tier, baseline, held)
    assert found is not None
    return found


def test_the_chain_of_least_cost_is_chosen_with_the_reason() -> None:
    decision = decided()
    assert (str(decision.chain), decision.delta) == ("pco:8", None)
    assert decision.reason == "pco:8 would take 50.7 ms to a 20 Mbit/s receiver where none takes 210 ms"
    assert decision.saved_share == pytest.approx(0.72, abs=0.01)


def test_the_baseline_stands_where_nothing_saves_much() -> None:
    decision = decided(tier=LOOPBACK)
    assert (decision.chain, decision.delta, decision.saved_share) == (PLAIN, None, 0.0)
    assert decision.reason == "as the baseline: none takes 419 us to a receiver on this machine, no candidate less"
    assert decided(tier=MIDDLE, baseline=Chains(LZ4, None)).chain == LZ4


def test_deltas_are_made_where_they_cost_less() -> None:
    decision = decided(DELTAS)
    assert (str(decision.chain), decision.delta) == ("pco:8", DELTA)
    assert decided(DELTAS, LOOPBACK).delta is None


def test_a_baseline_with_deltas_is_costed_by_these() -> None:
    decision = decided(DELTAS, baseline=Chains(LZ4, DELTA))
    assert (decision.chain, decision.delta, decision.saved_share) == (LZ4, DELTA, 0.0)


def test_a_baseline_that_was_not_tried_counts_as_plain() -> None:
    assert decided(baseline=Chains(LZ4, DELTA)).baseline_s == decided().baseline_s


def test_a_decision_in_force_stays_unless_another_one_saves_enough() -> None:
    near = (*IMAGE, replace(IMAGE[3], chain="zstd:2", ratio=IMAGE[3].ratio * 0.99))
    assert str(decided(near).chain) == "zstd:2"
    pco = decided(IMAGE)
    assert decided(near, held=Chains(pco.chain, None)).chain == pco.chain
    assert str(decided(near, held=Chains(LZ4, None)).chain) == "zstd:2"


@given(ANY_FIGURES, st.sampled_from(TIERS))
def test_no_decision_costs_more_than_the_baseline(tried: list[EncodingFigures], tier: LinkTier) -> None:
    delivery = Delivery(payload_bytes=100_000, goodput_bytes_per_s=tier.goodput_bytes_per_s)
    decision = decide(tried, delivery, tier, UNENCODED)
    if decision is None:
        assert not [each for each in tried if each.chain not in ("brotli:9", "xor:1+lz4")]
    else:
        assert 0 <= decision.predicted_s <= decision.baseline_s
        assert not decision.chain.delta
        assert decision.delta is None or decision.delta.delta


@given(ANY_FIGURES, st.lists(st.sampled_from(TIERS), max_size=5), st.booleans())
def test_receivers_of_one_tier_are_never_apart(
    tried: list[EncodingFigures], tiers: list[LinkTier], apart: bool
) -> None:
    delivery = Delivery(payload_bytes=100_000, goodput_bytes_per_s=1.0)
    if len(set(tiers)) < 2 or len(tried) < 2:
        assert not pays_apart(tried, delivery, tiers, apart=apart)
    if pays_apart(tried, delivery, tiers, apart=False):
        assert pays_apart(tried, delivery, tiers, apart=True)


def test_slow_and_fast_receivers_are_apart_where_no_chain_is_good_for_both() -> None:
    delivery = Delivery(payload_bytes=524_288, goodput_bytes_per_s=1.0)
    assert pays_apart(IMAGE, delivery, [SLOW, LOOPBACK], apart=False)
    assert not pays_apart(IMAGE, delivery, TIERS[:2], apart=True)  # pco for both


def test_receivers_that_are_apart_stay_so_for_less() -> None:
    lost = (APART_SAVING + TOGETHER_SAVING) / 2
    delivery = Delivery(payload_bytes=1_000_000, goodput_bytes_per_s=1.0)
    slow, fast = LinkTier("slow", 1e6), LinkTier("fast", 1e9)
    tried = [EncodingFigures("none", 1.0, 0.0, 0.0), EncodingFigures("lz4", 1 - lost, 1e-8, 0.0)]
    assert not pays_apart(tried, delivery, [slow, fast], apart=False)
    assert pays_apart(tried, delivery, [slow, fast], apart=True)


def test_a_decision_in_force_stays_until_it_saves_nothing() -> None:
    """A threshold alone would have what saves some 5 % come and go."""

    def figures(zstd: float) -> tuple[EncodingFigures, ...]:
        return EncodingFigures("lz4", 0.5, 1e-9, 1e-9), EncodingFigures("zstd:1", 0.5 * zstd, 1e-9, 1e-9)

    baseline, held = Chains(LZ4, None), Chains(ZSTD, None)
    chosen = [
        (decided(figures(share), baseline=baseline).chain, decided(figures(share), baseline=baseline, held=held).chain)
        for share in (0.94, 0.96, 0.99, 1.0, 1.01)
    ]
    assert chosen == [(ZSTD, ZSTD), (LZ4, ZSTD), (LZ4, ZSTD), (LZ4, LZ4), (LZ4, LZ4)]


def test_chains_that_are_the_best_for_some_link_are_tried_first() -> None:
    figures = (
        EncodingFigures("none", 1.0, 0.0, 0.0),
        EncodingFigures("zstd:3", 0.51, 1e-8, 1e-9),
        EncodingFigures("zstd:9", 0.49, 1e-6, 1e-9),
        EncodingFigures("pco:8", 0.3, 8e-9, 1e-9),
    )
    order = by_promise(figures, 524_288, TIERS)
    assert set(order[:2]) == {"none", "pco:8"}
    assert order[2:] == ["zstd:3", "zstd:9"]
    assert by_promise((), 524_288, TIERS) == []
