"""The arrival model: kinds of arrivals are told apart for every seed, and the next one is predicted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connections.arrivals import (
    LEAST_INTERVALS,
    MIN_INTERVALS,
    ArrivalKind,
    ArrivalModel,
    Bursts,
    fitted_arrivals,
)

SEEDS = range(20)
Numbers = npt.NDArray[Any]


def poisson(seed: int, count: int = 300) -> Numbers:
    return np.random.default_rng(seed).exponential(0.05, count).cumsum()


def bursts(seed: int, count: int = 40) -> Numbers:
    draw = np.random.default_rng(seed)
    begins = draw.exponential(2.0, count).cumsum()
    return np.sort(np.concatenate([begin + np.arange(draw.integers(4, 12)) * 1e-3 for begin in begins]))


def ticks(seed: int, count: int = 100, period_s: float = 0.5, jitter: float = 0.02) -> Numbers:
    return np.arange(count) * period_s + np.random.default_rng(seed).normal(0, jitter * period_s, count) + 100


def waves(seed: int) -> Numbers:
    """Joins of some clients every minute."""
    draw = np.random.default_rng(seed)
    return np.sort(np.concatenate([60 * wave + draw.uniform(0, 0.5, 8) for wave in range(12)]))


def model(times: Numbers) -> ArrivalModel:
    found = fitted_arrivals(times.tolist())
    assert found is not None
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_are_told_apart(seed: int) -> None:
    assert model(poisson(seed)).kind is ArrivalKind.POISSON
    assert model(bursts(seed)).kind is ArrivalKind.BURSTY
    assert model(ticks(seed)).kind is ArrivalKind.PERIODIC
    assert model(waves(seed)).kind is ArrivalKind.PERIODIC


def test_the_rate_is_that_of_all_arrivals() -> None:
    assert model(ticks(1)).rate_per_s == pytest.approx(2, rel=0.01)
    assert model(waves(1)).rate_per_s == pytest.approx(8 / 60, rel=0.15)


def test_a_period_is_predicted_and_with_confidence() -> None:
    found = model(ticks(3))
    assert found.interval_s == pytest.approx(0.5, rel=0.01)
    assert found.confidence > 0.95
    last_s = float(ticks(3)[-1])
    assert found.next_s(last_s + 0.1) == pytest.approx(last_s + 0.5, abs=0.05)
    assert found.next_s(last_s + 1.6) == pytest.approx(last_s + 2.0, abs=0.05)
    assert "every 0.5 s" in found.words


def test_a_wave_of_joins_is_predicted() -> None:
    found = model(waves(3))
    assert found.burst == pytest.approx(8)
    assert 0.2 < found.burst_s < 0.5
    assert found.next_s(11 * 60 + 30) == pytest.approx(12 * 60, abs=1)
    assert "in bursts of 8" in found.words


def test_periods_may_be_left_out() -> None:
    times = np.delete(ticks(5), [20, 40, 41, 70])
    found = model(times)
    assert found.kind is ArrivalKind.PERIODIC
    assert found.interval_s == pytest.approx(0.5, rel=0.01)


def test_random_arrivals_are_predicted_without_confidence() -> None:
    found = model(poisson(7))
    assert found.confidence < 0.35
    assert found.next_s(1e6) == pytest.approx(1e6 + found.interval_s)
    assert "at random" in found.words


def test_too_few_arrivals_say_nothing() -> None:
    assert fitted_arrivals([]) is None
    assert fitted_arrivals(ticks(1, MIN_INTERVALS).tolist()) is None
    assert fitted_arrivals([1.0] * 100) is None


def written(times: Numbers, window_s: float) -> int:
    """Return the number of writes if all is collected that comes within a window from the first arrival on."""
    writes, ends_s = 0, -math.inf
    for time_s in times:
        if time_s >= ends_s:
            writes, ends_s = writes + 1, time_s + window_s
    return writes


@pytest.mark.parametrize(
    ("times", "windows_s"),
    [
        (poisson(1), (0.02, 0.1, 0.5)),
        (bursts(2, 60), (0.01, 0.05, 1.0)),
        (ticks(3, 300, 0.5, 0.0), (0.1, 0.7, 2.2)),
        (np.concatenate([tick + np.arange(10) * 1e-3 for tick in np.arange(30) * 0.1]), (0.0055, 0.02, 0.35)),
    ],
    ids=["poisson", "bursty", "periodic", "periodic bursts"],
)
def test_writes_that_a_window_leaves_are_told(times: Numbers, windows_s: tuple[float, ...]) -> None:
    found = model(times)
    span_s = float(times[-1] - times[0])
    assert found.writes_per_s(0.0) == pytest.approx(len(times) / span_s, rel=0.02)
    for window_s in windows_s:
        told = found.writes_per_s(window_s) * span_s
        assert told == pytest.approx(written(times, window_s), rel=0.25), window_s


def test_bursts_of_known_width_make_the_same_model() -> None:
    collected = Bursts(0.5, 20)
    for time_s in waves(3).tolist():
        collected.add(time_s)
    assert collected.model() == model(waves(3))


def test_of_bursts_the_last_are_remembered_and_a_few_say_nothing() -> None:
    collected = Bursts(0.5, LEAST_INTERVALS + 1)
    for tick in range(LEAST_INTERVALS):
        collected.add(5.0 * tick)
        assert collected.model() is None
    for tick in range(2 * LEAST_INTERVALS):
        collected.add(100 + 2.0 * tick)
    found = collected.model()
    assert found is not None
    assert (found.interval_s, found.spread_s) == (2.0, 0.0)
    collected.add(0.0)
    assert (collected.last_s, collected.model()) == (0.0, None)


def test_a_clock_that_jumps_back_begins_anew() -> None:
    jumped = np.concatenate([ticks(1, 50), ticks(2, 50) - 90])
    assert fitted_arrivals(jumped.tolist()) == fitted_arrivals((ticks(2, 50) - 90).tolist())
    found = model(ticks(1))
    assert found.next_s(3.0) == pytest.approx(3.5, rel=0.01)


@settings(max_examples=200)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1000), max_size=40))
def test_any_times_make_a_sound_model_or_none(times_s: list[float]) -> None:
    found = fitted_arrivals(times_s)
    if found is not None:
        numbers = found.rate_per_s, found.interval_s, found.burst, found.burst_s, found.confidence
        assert all(map(math.isfinite, numbers))
        assert found.interval_s > 0
        assert 0 <= found.confidence <= 1
        assert found.next_s(found.last_s + 1) >= found.last_s + 1
        assert 0 < found.writes_per_s(1.0) <= found.rate_per_s * (1 + 1e-9)
