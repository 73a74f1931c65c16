"""Drift: chance is none, and a change of either direction is found soon."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.drift import TOLERANCE, DriftTest


def values_until_change(before: float, after: float, noise: float = 0.0) -> int | None:
    """Return how many of the values behind a change it takes until it is found."""
    chance, test = random.Random(1), DriftTest()
    for _ in range(50):
        assert not test.add(before + chance.uniform(-noise, noise))
    return next((number for number in range(1, 100) if test.add(after + chance.uniform(-noise, noise))), None)


@pytest.mark.parametrize(("before", "after"), [(0.2, 0.9), (0.9, 0.2), (0.0, 0.3)])
def test_a_large_change_is_found_at_once(before: float, after: float) -> None:
    assert values_until_change(before, after, noise=0.01) == 1


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.6), (0.5, 0.4)])
def test_a_small_change_is_found_soon(before: float, after: float) -> None:
    count = values_until_change(before, after)
    assert count is not None
    assert 1 < count < 6


@given(st.floats(0, 1), st.lists(st.floats(-TOLERANCE / 2, TOLERANCE / 2), max_size=200))
def test_chance_is_no_change(mean: float, noise: list[float]) -> None:
    test = DriftTest()
    assert not any(test.add(mean + each) for each in noise)


def test_it_begins_anew_behind_a_change() -> None:
    test = DriftTest()
    for _ in range(10):
        test.add(0.1)
    assert test.add(0.9)
    assert not any(test.add(0.9) for _ in range(100))
    assert test.add(0.1)


def test_values_that_are_no_numbers_change_nothing() -> None:
    test = DriftTest()
    for value in (None, math.nan, math.inf, -math.inf):
        assert not test.add(value)
    assert test == DriftTest()
