"""Guard: what costs more than the baseline is taken back soon, and noise takes back hardly anything."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.decisions.guard import (
    FIRST_RECESS_S,
    LAST_RECESS_S,
    PROVEN_PAIRS,
    THRESHOLD,
    TOLERANCE,
    Guard,
    GuardVerdict,
)

RUNS = 100
ANY_FLOAT = st.floats()
COSTS = st.floats(1e-9, 1e6)


def pairs_until_taken_back(ratio: float, noise: float, most: int, runs: int = RUNS) -> list[int | None]:
    """Return for each of some runs the number of pairs after which a decision is taken back.

    Args:
        ratio: cost of the decision over that of the baseline.
        noise: standard deviation of the logarithm of a pair's ratio.
        most: pairs of a run.
    """
    rng, found = np.random.default_rng(7), list[int | None]()
    for _ in range(runs):
        guard = Guard()
        costs = np.exp(rng.normal(0.0, noise / math.sqrt(2), (most, 2)))
        taken_back = (number for number, (own, other) in enumerate(costs, 1) if guard.compare(ratio * own, other, 0.0))
        found.append(next(taken_back, None))
    return found


@pytest.mark.parametrize(("ratio", "noise"), [(0.95, 0.05), (0.9, 0.1), (0.8, 0.2), (1.0, 0.05)])
def test_noise_takes_no_better_decision_back(ratio: float, noise: float) -> None:
    """Of 100 runs of 500 pairs, which are a quarter of a million messages each, at most one."""
    assert sum([pairs is not None for pairs in pairs_until_taken_back(ratio, noise, 500)]) <= 1


@pytest.mark.parametrize(
    ("ratio", "noise", "usually", "at_most"), [(1.2, 0.05, 5, 8), (1.2, 0.1, 6, 14), (2.0, 0.1, 2, 3), (2.0, 0.4, 3, 8)]
)
def test_a_worse_decision_is_taken_back_within_some_pairs(
    ratio: float, noise: float, usually: int, at_most: int
) -> None:
    found = [pairs or math.inf for pairs in pairs_until_taken_back(ratio, noise, 100)]
    assert np.median(found) <= usually
    assert max(found) <= at_most


def test_one_pair_does_not_decide() -> None:
    guard = Guard()
    assert not guard.compare(1000.0, 1.0, 0.0)
    for _ in range(100):
        assert not guard.compare(1.0, 1.0, 0.0)
    assert not guard.compare(1000.0, 1.0, 0.0)


@given(st.lists(st.tuples(COSTS, COSTS), max_size=100))
def test_a_decision_that_costs_no_more_in_any_pair_is_kept(costs: list[tuple[float, float]]) -> None:
    guard = Guard()
    assert not any(guard.compare(min(pair), max(pair), 0.0) for pair in costs)
    assert guard.in_force(0.0)


@given(st.lists(st.tuples(COSTS, COSTS), max_size=20), st.floats(1.5, 1e6))
def test_whatever_came_before_a_decision_that_is_much_worse_is_taken_back(
    costs: list[tuple[float, float]], ratio: float
) -> None:
    """Before, the sum may be 0 and the noise as high as it can be: 5 times the largest distance of two pairs."""
    guard = Guard()
    for own_s, other_s in costs:
        if guard.compare(own_s, other_s, 0.0):
            return
    assert any(guard.compare(ratio, 1.0, 0.0) for _ in range(20))


@given(ANY_FLOAT, ANY_FLOAT)
def test_costs_that_are_no_numbers_count_for_nothing(own_s: float, other_s: float) -> None:
    guard = Guard()
    for _ in range(3):
        guard.compare(own_s, other_s, 0.0)
    verdict = guard.verdict(0.0)
    valid = all(math.isfinite(each) and each > 0 for each in (own_s, other_s))
    assert verdict.pairs == (3 if valid else 0) or not verdict.in_force


def taken_back(guard: Guard, now_s: float) -> None:
    while not guard.compare(2.0, 1.0, now_s):
        pass


def test_the_recess_doubles_up_to_an_hour() -> None:
    guard, now_s, recesses = Guard(), 0.0, []
    for _ in range(9):
        taken_back(guard, now_s)
        assert not guard.in_force(now_s)
        recesses.append(guard.verdict(now_s).recess_s)
        now_s += recesses[-1]
        assert guard.in_force(now_s)
        guard.begin()
    assert recesses == [min(FIRST_RECESS_S * 2**number, LAST_RECESS_S) for number in range(9)]


def test_a_decision_that_has_proven_itself_begins_with_the_first_recess() -> None:
    guard = Guard()
    taken_back(guard, 0.0)
    taken_back(guard, 100.0)
    guard.begin()
    for _ in range(PROVEN_PAIRS):
        guard.compare(1.0, 2.0, 1000.0)
    taken_back(guard, 2000.0)
    assert guard.verdict(2000.0).recess_s == FIRST_RECESS_S


def test_a_recess_goes_on_for_another_decision() -> None:
    guard = Guard()
    taken_back(guard, 0.0)
    guard.begin()
    assert not guard.in_force(FIRST_RECESS_S / 2)
    assert guard.verdict(0.0).pairs == 0


def test_the_sum_that_is_reached_grows_with_the_noise() -> None:
    guard = Guard()
    assert guard.threshold == THRESHOLD
    for number in range(100):
        guard.compare(1.4 if number % 2 else 0.6, 1.0, 0.0)
    assert guard.threshold > 2 * THRESHOLD


def test_what_is_within_the_tolerance_is_kept_for_ever() -> None:
    guard = Guard()
    assert not any(guard.compare(math.exp(TOLERANCE), 1.0, 0.0) for _ in range(10_000))


def test_the_verdict_in_words() -> None:
    guard = Guard()
    assert guard.verdict(0.0).words == "not compared with the baseline yet"
    guard.compare(1.5, 2.0, 0.0)
    assert guard.verdict(0.0) == GuardVerdict(True, 1, 1.5, 2.0)
    assert guard.verdict(0.0).words == "holds: 25 % less than the baseline in 1 pair of blocks"
    guard.begin()
    taken_back(guard, 10.0)
    assert guard.verdict(40.0).words == (
        "taken back: 100 % more than the baseline in 2 pairs of blocks; tried again in 30 s"
    )
