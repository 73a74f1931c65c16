"""Turnstile: never more than its bound pass, what is reserved is there, and those that return are spread evenly."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.admission.turnstile import LEAST_RETURN_S, MOST_RETURN_S, PROMISED_SHARE, Turnstile

STEPS_S = st.lists(st.floats(0, 3), min_size=1, max_size=80)


@given(STEPS_S, st.integers(1, 200), st.integers(1, 20))
def test_never_more_than_burst_and_rate_pass(steps_s: list[float], per_s: int, burst: int) -> None:
    turnstile, now_s, passed_s = Turnstile(per_s, burst, random.random), 0.0, list[float]()
    for step_s in steps_s:
        now_s += step_s
        while turnstile.take(now_s):
            passed_s.append(now_s)
    for index, begin_s in enumerate(passed_s):
        for count, end_s in enumerate(passed_s[index:], start=1):
            assert count <= burst + (end_s - begin_s) * per_s + 1e-3


@given(STEPS_S, st.integers(1, 200), st.integers(2, 20), st.data())
def test_what_is_reserved_is_there_whatever_came_before(
    steps_s: list[float], per_s: int, burst: int, data: st.DataObject
) -> None:
    reserved = data.draw(st.integers(1, burst - 1))
    turnstile, now_s = Turnstile(per_s, burst, random.random), 0.0
    for step_s in steps_s:
        now_s += step_s
        while turnstile.take(now_s, reserved):
            turnstile.return_after_s(now_s)
    assert [turnstile.take(now_s) for _ in range(reserved)] == [True] * reserved
    assert not turnstile.take(now_s)


def test_a_calm_time_fills_it_again() -> None:
    turnstile = Turnstile(10, 3, random.random)
    assert [turnstile.take(5.0) for _ in range(4)] == [True, True, True, False]
    assert [turnstile.take(5.1) for _ in range(2)] == [True, False]
    assert [turnstile.take(99.0) for _ in range(4)] == [True, True, True, False]


@given(st.integers(1, 2000), st.integers(1, 500), st.integers(0, 2**32))
def test_those_that_return_are_spread_evenly_over_a_time_that_grows_with_their_number(
    refused: int, per_s: int, seed: int
) -> None:
    turnstile = Turnstile(per_s, 1, random.Random(seed).random)
    returns_s = [turnstile.return_after_s(7.0) for _ in range(refused)]
    place_s = 1 / (per_s * PROMISED_SHARE)
    in_line = [each_s for each_s in returns_s if each_s < MOST_RETURN_S / 2]
    for index, return_s in enumerate(in_line):
        assert index * place_s <= return_s - LEAST_RETURN_S <= (index + 1) * place_s + 1e-6
    assert max(returns_s) <= MOST_RETURN_S
    assert min(returns_s) >= LEAST_RETURN_S


def test_a_line_that_is_too_long_is_spread_over_the_second_half_of_the_longest_time() -> None:
    turnstile = Turnstile(1, 1, random.Random(1).random)
    returns_s = [turnstile.return_after_s(0.0) for _ in range(1000)][60:]
    quarters = [sum(45 + 3.75 * n <= each < 48.75 + 3.75 * n for each in returns_s) for n in range(4)]
    assert min(returns_s) >= MOST_RETURN_S / 2
    assert max(returns_s) <= MOST_RETURN_S
    assert min(quarters) > 80


@pytest.mark.parametrize("per_s", [50, 1000])
def test_a_storm_that_does_as_it_is_told_passes_within_the_time_of_its_number(per_s: int) -> None:
    """Clients that come together pass in little more than the time that they need at this rate."""
    clients, draw = 30 * per_s // 5, random.Random(per_s)
    turnstile = Turnstile(per_s, per_s // 10, draw.random)
    due_s = [draw.random() * 0.25 for _ in range(clients)]
    attempts, last_s = 0, 0.0
    while due_s:
        due_s.sort(reverse=True)
        now_s = due_s.pop()
        attempts += 1
        if turnstile.take(now_s, per_s // 80):
            last_s = now_s
        else:
            due_s.append(now_s + turnstile.return_after_s(now_s) + draw.random() * 0.25)
    assert last_s < 1.6 * clients / per_s
    assert attempts < 2.5 * clients
