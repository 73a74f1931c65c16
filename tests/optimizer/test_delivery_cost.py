"""Delivery cost: more of anything costs more, and the best chain depends on the link as measurements say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.link_tier import TIERS
from gateway.optimizer.delivery_cost import (
    LEAST_BURSTINESS,
    OVERLOAD_S,
    Delivery,
    EncodingFigures,
    best_of,
    decode_factor,
    delivery_cost,
)

MB = 1e6
FIGURES = st.builds(EncodingFigures, st.just("any"), st.floats(0.001, 1.1), st.floats(0, 1e-6), st.floats(0, 1e-6))
DELIVERIES = st.builds(
    Delivery,
    payload_bytes=st.integers(1, 10**9),
    goodput_bytes_per_s=st.floats(1e3, 1e10),
    interval_s=st.none() | st.floats(1e-4, 1e3),
    burstiness=st.floats(0, 64),
    queue_delay_s=st.floats(0, 100),
    decode_factor=st.floats(0.1, 20),
    receivers=st.integers(1, 10_000),
)
MORE = st.floats(1.0, 100.0)


def figures(chain: str, ratio: float, encode_mb_per_s: float, decode_mb_per_s: float) -> EncodingFigures:
    return EncodingFigures(chain, 1 / ratio, 1 / encode_mb_per_s / MB, 1 / decode_mb_per_s / MB)


NONE = EncodingFigures("none", 1.0, 0.0, 0.0)
# Measured in November 2026 on 2 cores.
IMAGE = (
    NONE,
    figures("lz4", 2.14, 900, 3000),
    figures("zstd:1", 2.78, 287, 927),
    figures("shuffle+zstd:1", 2.03, 300, 800),
)
IMAGE_WITH_PCO = (*IMAGE, figures("pco:8", 4.95, 87, 933))
EMBEDDINGS = (NONE, figures("lz4", 1.0, 2000, 5000), figures("shuffle+zstd:1", 1.19, 300, 800))


@given(FIGURES, DELIVERIES, MORE, st.floats(0, 10))
def test_the_cost_grows_with_each_term(figures: EncodingFigures, delivery: Delivery, more: float, price: float) -> None:
    def total(of: EncodingFigures = figures, to: Delivery = delivery, at: float = price) -> float:
        cost = delivery_cost(of, to, at)
        assert min(cost.encode_s, cost.queue_s, cost.transfer_s, cost.decode_s, cost.cpu_s) >= 0
        assert math.isfinite(cost.total_s)
        return cost.total_s * (1 + 1e-12)

    least = delivery_cost(figures, delivery, price).total_s
    assert total(replace(figures, ratio=figures.ratio * more)) >= least
    assert total(replace(figures, encode_s_per_byte=figures.encode_s_per_byte * more)) >= least
    assert total(replace(figures, decode_s_per_byte=figures.decode_s_per_byte * more)) >= least
    assert total(to=replace(delivery, payload_bytes=int(delivery.payload_bytes * more))) >= least
    assert total(to=replace(delivery, goodput_bytes_per_s=delivery.goodput_bytes_per_s / more)) >= least
    assert total(to=replace(delivery, queue_delay_s=delivery.queue_delay_s + more)) >= least
    assert total(to=replace(delivery, decode_factor=delivery.decode_factor * more)) >= least
    assert total(at=price * more) >= least
    assert delivery_cost(figures, replace(delivery, receivers=delivery.receivers + 1), price).total_s <= least
    if delivery.interval_s is not None:
        assert total(to=replace(delivery, interval_s=delivery.interval_s / more)) >= least


def test_each_term_is_what_it_says() -> None:
    delivery = Delivery(
        payload_bytes=1_000_000, goodput_bytes_per_s=2.5 * MB, queue_delay_s=0.5, decode_factor=3.0, receivers=4
    )
    cost = delivery_cost(figures("zstd:1", 2.0, 100, 500), delivery, cpu_price=2.0)
    assert cost.encode_s == pytest.approx(0.01)
    assert cost.queue_s == 0.5
    assert cost.transfer_s == pytest.approx(0.2)
    assert cost.decode_s == pytest.approx(0.006)
    assert cost.cpu_s == pytest.approx(2.0 * 0.01 / 4)
    assert cost.total_s == pytest.approx(cost.delay_s + 0.005) == pytest.approx(0.721)


@pytest.mark.parametrize(
    ("tried", "tier", "best"),
    [
        (IMAGE, "2 Mbit/s", "zstd:1"),
        (IMAGE, "20 Mbit/s", "zstd:1"),
        (IMAGE, "200 Mbit/s", "lz4"),
        (IMAGE, "loopback", "none"),
        (IMAGE_WITH_PCO, "2 Mbit/s", "pco:8"),
        (IMAGE_WITH_PCO, "20 Mbit/s", "pco:8"),
        (IMAGE_WITH_PCO, "200 Mbit/s", "lz4"),
        (IMAGE_WITH_PCO, "loopback", "none"),
        (EMBEDDINGS, "2 Mbit/s", "shuffle+zstd:1"),
        (EMBEDDINGS, "200 Mbit/s", "none"),
        (EMBEDDINGS, "loopback", "none"),
    ],
)
def test_the_best_chain_depends_on_the_link(tried: tuple[EncodingFigures, ...], tier: str, best: str) -> None:
    (rate,) = [each.goodput_bytes_per_s for each in TIERS if each.name == tier]
    found = best_of(tried, Delivery(payload_bytes=524_288, goodput_bytes_per_s=rate))
    assert found is not None
    assert found[0].chain == best


def test_a_dear_cpu_and_a_slow_decoder_change_the_choice() -> None:
    delivery = Delivery(payload_bytes=524_288, goodput_bytes_per_s=2.5 * MB)
    assert best_of(IMAGE_WITH_PCO, delivery)[0].chain == "pco:8"  # type: ignore[index]
    assert best_of(IMAGE_WITH_PCO, delivery, cpu_price=20.0)[0].chain == "lz4"  # type: ignore[index]
    assert best_of(IMAGE, replace(delivery, decode_factor=200.0))[0].chain == "lz4"  # type: ignore[index]


def test_many_receivers_share_the_price() -> None:
    delivery = Delivery(payload_bytes=524_288, goodput_bytes_per_s=2.5 * MB)
    assert best_of(IMAGE, replace(delivery, receivers=1000), cpu_price=20.0)[0].chain == "zstd:1"  # type: ignore[index]


def test_a_link_that_cannot_take_all_counts_as_overloaded() -> None:
    busy = Delivery(payload_bytes=1_000_000, goodput_bytes_per_s=1 * MB, interval_s=0.5)
    cost = delivery_cost(NONE, busy)
    assert cost.queue_s == pytest.approx(2 * OVERLOAD_S)
    idle = delivery_cost(NONE, replace(busy, interval_s=100.0))
    assert idle.queue_s == pytest.approx(0.01 / 2 / 0.99)


def test_of_no_figures_none_is_the_best_and_of_equals_the_first() -> None:
    delivery = Delivery(payload_bytes=1, goodput_bytes_per_s=1.0)
    assert best_of((), delivery) is None
    assert best_of((NONE, replace(NONE, chain="other")), delivery)[0] is NONE  # type: ignore[index]


@pytest.mark.parametrize(
    ("measured", "tried", "factor"),
    [(3e-9, 1e-9, 3.0), (None, 1e-9, 1.0), (1e-9, None, 1.0), (1e-9, 0.0, 1.0), (math.nan, 1e-9, 1.0), (-1, 1, 1.0)],
)
def test_the_factor_of_decoding_is_one_where_nothing_is_known(
    measured: float | None, tried: float | None, factor: float
) -> None:
    assert decode_factor(measured, tried) == pytest.approx(factor)


def test_payloads_in_bursts_wait_longer_and_those_at_equal_intervals_less() -> None:
    at_random = Delivery(payload_bytes=100_000, goodput_bytes_per_s=MB, interval_s=0.2)
    waits = [delivery_cost(NONE, replace(at_random, burstiness=each)).queue_s for each in (0.0, 1.0, 4.0)]
    assert waits == pytest.approx([0.05 * LEAST_BURSTINESS, 0.05, 0.2])
    assert delivery_cost(NONE, replace(at_random, burstiness=64.0)).queue_s == OVERLOAD_S * 0.5
