"""Burstiness: arrivals at random, at equal intervals and in bursts are told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.burstiness import HIGHEST, LEAST_COUNTS, Burstiness

DRAW = np.random.default_rng(2)
COUNTS = 2000


def of(counts: Iterable[int]) -> float:
    burstiness = Burstiness()
    for count in counts:
        burstiness.add(count)
    assert burstiness.value is not None
    return burstiness.value


@pytest.mark.parametrize("rate", [0.05, 1.0, 20.0])
def test_arrivals_at_random_have_one(rate: float) -> None:
    found = [of(DRAW.poisson(rate, COUNTS).tolist()) for _ in range(20)]
    assert np.mean(found) == pytest.approx(1.0, rel=0.15)


def test_arrivals_at_equal_intervals_have_less() -> None:
    assert of([3] * COUNTS) == 0
    assert of([1, 0] * (COUNTS // 2)) == pytest.approx(0.5, rel=0.1)


def test_arrivals_in_bursts_have_about_the_size_of_a_burst() -> None:
    found = [of((8 * DRAW.poisson(0.5, COUNTS)).tolist()) for _ in range(20)]
    assert np.mean(found) == pytest.approx(8.0, rel=0.15)


def test_arrivals_that_change_are_forgotten() -> None:
    bursts, steady = (16 * DRAW.poisson(0.5, COUNTS)).tolist(), [4] * 1000
    assert of([*bursts, *steady]) < 0.1


def test_one_burst_without_end_is_told_as_the_largest() -> None:
    assert of([*[0] * 100, 10**9]) == HIGHEST


@given(st.lists(st.integers(0, 10**9), max_size=40))
def test_what_is_told_is_a_number_within_bounds(counts: list[int]) -> None:
    burstiness = Burstiness()
    for count in counts:
        burstiness.add(count)
    found = burstiness.value
    if len(counts) < LEAST_COUNTS or not any(counts):
        assert found is None
    else:
        assert found is not None
        assert math.isfinite(found)
        assert 0 <= found <= HIGHEST
