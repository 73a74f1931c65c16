"""Latencies: quantiles of the last seconds, and a distribution of all."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.latency.latencies import BOUNDS_S, MAX_RECENT, RECENT_S, Latencies, quantiles


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101])
def test_quantiles_are_values(count: int) -> None:
    values = np.random.default_rng(count).permutation(count).astype(float)
    assert quantiles(values, (0.5, 0.99)) == [count // 2, min(count - 1, int(0.99 * count))]


def test_without_samples_there_are_no_quantiles() -> None:
    stats = Latencies().stats(100.0)
    assert math.isnan(stats.p50_s)
    assert math.isnan(stats.p99_s)
    assert (stats.samples, stats.sum_s, set(stats.within.values())) == (0, 0.0, {0})


@given(latencies_s=st.lists(st.floats(0, 100), max_size=50))
def test_every_sample_is_within_its_bound_and_all_above(latencies_s: list[float]) -> None:
    latencies = Latencies()
    for latency_s in latencies_s:
        latencies.add(1.0, latency_s)
    within = latencies.stats(1.0).within
    assert list(within) == [*map(str, BOUNDS_S), "+Inf"]
    for bound_s in BOUNDS_S:
        assert within[str(bound_s)] == sum([each <= bound_s for each in latencies_s])
    assert within["+Inf"] == len(latencies_s)
    assert all(less <= more for less, more in pairwise(within.values()))


def test_quantiles_forget_what_is_past_and_the_distribution_does_not() -> None:
    latencies = Latencies()
    latencies.add(0.0, 5.0)
    latencies.add(RECENT_S, 0.001)
    stats = latencies.stats(RECENT_S)
    assert (stats.p50_s, stats.p99_s, stats.samples, stats.sum_s) == (0.001, 0.001, 2, 5.001)
    assert latencies.since(RECENT_S).tolist() == []


def test_memory_is_bounded() -> None:
    latencies = Latencies()
    for number in range(MAX_RECENT + 10):
        latencies.add(1.0, float(number))
    assert len(latencies.since(0.0)) == MAX_RECENT
    assert latencies.stats(1.0).samples == MAX_RECENT + 10
