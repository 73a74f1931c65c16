"""A round trip is smoothed, its smallest value grows old, and nonsense of a peer leaves it as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.round_trip import (
    MAX_ROUND_TRIP_S,
    NO_ROUND_TRIP,
    PERIOD_S,
    RoundTrip,
    distance_of,
    read_round_trip,
    sampled,
)

MS = 1_000_000


def after(*samples_ms: float, every_s: float = 1.0) -> RoundTrip:
    """The round trip after samples, one in ``every_s``."""
    kept = NO_ROUND_TRIP
    for number, sample_ms in enumerate(samples_ms):
        kept = sampled(kept, round(sample_ms * MS), number * every_s)
    found = read_round_trip(kept)
    assert found is not None
    return found


def test_nothing_is_known_before_the_first_sample() -> None:
    assert read_round_trip(NO_ROUND_TRIP) is None


def test_the_first_sample_stands_with_half_of_it_as_deviation() -> None:
    assert after(80) == pytest.approx((0.08, 0.04, 0.08))


def test_further_samples_are_smoothed_as_rfc_6298_says() -> None:
    deviation_s = 0.75 * 0.04 + 0.25 * 0.08
    assert after(80, 160) == pytest.approx((0.875 * 0.08 + 0.125 * 0.16, deviation_s, 0.08))


def test_a_steady_way_has_no_jitter() -> None:
    steady = after(*[50.0] * 60)
    assert steady.smoothed_s == pytest.approx(0.05)
    assert steady.deviation_s < 1e-6


def test_the_smallest_round_trip_is_forgotten_after_one_to_two_periods() -> None:
    assert after(10, 50, 50, every_s=PERIOD_S / 2).smallest_s == pytest.approx(0.01)
    assert after(10, 50, 50, 50, every_s=PERIOD_S / 2).smallest_s == pytest.approx(0.01)
    assert after(10, 50, 50, 50, 50, every_s=PERIOD_S / 2).smallest_s == pytest.approx(0.05)
    assert after(10, 50, every_s=5 * PERIOD_S).smallest_s == pytest.approx(0.05)


@pytest.mark.parametrize("nonsense_ns", [0, -1, -(2**62), round(MAX_ROUND_TRIP_S * 1e9) + 1000, 2**64])
def test_a_sample_that_cannot_be_is_left_out(nonsense_ns: int) -> None:
    assert sampled(NO_ROUND_TRIP, nonsense_ns, 0.0) == NO_ROUND_TRIP
    kept = sampled(NO_ROUND_TRIP, 5 * MS, 0.0)
    assert sampled(kept, nonsense_ns, 1.0) == kept


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63), st.floats(0, 1e9)), max_size=30))
def test_whatever_comes_the_values_lie_within_the_samples(samples: list[tuple[int, float]]) -> None:
    kept, believed = NO_ROUND_TRIP, []
    for round_trip_ns, now_s in samples:
        kept = sampled(kept, round_trip_ns, now_s)
        if 0 < round_trip_ns / 1e9 <= MAX_ROUND_TRIP_S:
            believed.append(round_trip_ns / 1e9)
    found = read_round_trip(kept)
    if found is None:
        assert not believed
        return
    least, most = min(believed) * (1 - 1e-6), max(believed) * (1 + 1e-6)
    assert least <= found.smallest_s <= most
    assert least <= found.smoothed_s <= most
    assert 0 <= found.deviation_s <= most


def test_it_takes_64_bytes_of_memory() -> None:
    assert sampled(NO_ROUND_TRIP, MS, 0.0).__sizeof__() <= 64


@pytest.mark.parametrize(
    ("samples_ms", "distance"),
    [((), 0), ((0.9,), 0), ((1,), 1), ((1.9,), 1), ((2,), 2), ((80,), 7), ((80, 1.5), 1), ((1.5, 80), 1)],
)
def test_the_distance_grows_as_the_smallest_round_trip_doubles(samples_ms: tuple[float, ...], distance: int) -> None:
    kept = NO_ROUND_TRIP
    for sample_ms in samples_ms:
        kept = sampled(kept, round(sample_ms * MS) + 100, 0.0)
    assert distance_of(kept) == distance


def test_the_distance_is_of_the_last_minutes() -> None:
    kept = sampled(sampled(NO_ROUND_TRIP, 2 * MS, 0.0), 70 * MS, PERIOD_S)
    assert distance_of(kept) == 2
    assert distance_of(sampled(kept, 70 * MS, 2 * PERIOD_S)) == 7
