"""Rings: what is kept of numbers over time."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.reports.rings import RESOLUTIONS, Rings


def filled(seconds: int, start_s: int = 0) -> Rings:
    """Rings of a mean and a peak, both the number of the second."""
    rings = Rings([False, True])
    for second in range(start_s, start_s + seconds):
        rings.add(second, [second, second])
    return rings


@given(st.integers(0, 2000))
def test_the_newest_samples_are_kept_in_order(seconds: int) -> None:
    sampled = filled(seconds).since(-1, 1)
    assert sampled.times_s.tolist() == list(range(max(0, seconds - 600), seconds))
    assert sampled.values[:, 0].tolist() == sampled.times_s.tolist()


def test_a_coarser_sample_has_the_mean_or_the_peak_of_its_interval_and_stands_at_its_end() -> None:
    sampled = filled(35, start_s=3).since(-1, 10)
    assert sampled.times_s.tolist() == [10, 20, 30]
    assert sampled.values.tolist() == [[6.0, 9.0], [14.5, 19.0], [24.5, 29.0]]


def test_rings_keep_so_many_samples_however_long_they_are_filled() -> None:
    rings = filled(100_000)
    assert [len(rings.since(-1, interval_s).times_s) for interval_s, _ in RESOLUTIONS] == [600, 720, 1440]


def test_only_samples_behind_a_time() -> None:
    assert filled(10).since(6, 1).times_s.tolist() == [7, 8, 9]
    assert filled(10).since(9, 1).values.shape == (0, 2)


def test_absent_numbers_count_neither_for_the_mean_nor_for_the_peak() -> None:
    rings = Rings([False, True, True])
    for second, value in enumerate([math.nan, 2.0, math.nan, 4.0]):
        rings.add(second, [value, value, math.nan])
    rings.add(10, [0.0, 0.0, 0.0])
    assert np.array_equal(rings.since(-1, 10).values, [[3.0, 4.0, math.nan]], equal_nan=True)


def test_of_a_clock_that_was_set_back_the_time_that_comes_again_is_dropped() -> None:
    rings = filled(35, start_s=100)
    for second in range(117, 127):
        rings.add(second, [7, 7])
    assert rings.since(-1, 1).times_s.tolist() == list(range(100, 127))
    assert rings.since(116, 1).values.tolist() == [[7.0, 7.0]] * 10
    assert rings.since(-1, 10).times_s.tolist() == [110, 120]
    assert rings.since(110, 10).values.tolist() == [[7.0, 7.0]]


@given(st.lists(st.integers(0, 3000), max_size=30), st.integers(600, 700))
def test_times_rise_however_the_clock_is_set(starts_s: list[int], seconds: int) -> None:
    rings = filled(seconds)
    for start_s in starts_s:
        for second in range(start_s, start_s + 15):
            rings.add(second, [second, second])
    for interval_s, _ in RESOLUTIONS:
        sampled = rings.since(-1, interval_s)
        assert np.all(np.diff(sampled.times_s) > 0)
        assert not np.isnan(sampled.values).any()
    if starts_s:
        assert rings.since(-1, 1).times_s[-1] == starts_s[-1] + 14
