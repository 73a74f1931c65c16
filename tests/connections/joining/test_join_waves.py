"""Join waves: a period is told when waves keep one, and not told when they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.arrivals import LEAST_INTERVALS
from gateway.connections.joining.join_waves import MISSED, TOGETHER_S, TOLERANCE, JoinWaves


def joined(*times_s: float) -> JoinWaves:
    waves = JoinWaves()
    for time_s in times_s:
        waves.add(time_s)
    return waves


def test_waves_at_a_steady_pace_tell_when_the_next_one_is_due() -> None:
    waves = joined(0.0, 0.1, 0.2, 5.0, 5.1, 10.0, 15.0)
    found = waves.expected(16.0)
    assert found is not None
    assert (found.begin_s, found.end_s) == (20.0, 20.0 + TOGETHER_S)
    assert (found.arrivals.interval_s, found.arrivals.spread_s) == (5.0, 0.0)
    assert found.arrivals.burst == pytest.approx(7 / 4)


def test_joins_close_to_each_other_are_one_wave_however_long_it_lasts() -> None:
    times_s = [wave * 60.0 + join * TOGETHER_S for wave in range(4) for join in range(20)]
    found = joined(*times_s).expected(200.0)
    assert found is not None
    assert (found.arrivals.interval_s, found.arrivals.burst) == (60.0, 20.0)


def test_of_fewer_waves_or_uneven_ones_nothing_is_told() -> None:
    assert joined(*[5.0 * wave for wave in range(LEAST_INTERVALS)]).expected(16.0) is None
    assert joined(0.0, 5.0, 12.0, 15.0, 30.0).expected(31.0) is None
    assert JoinWaves().expected(1.0) is None


def test_a_period_that_has_changed_shows_after_some_waves() -> None:
    waves = joined(*[60.0 * wave for wave in range(9)])
    begin_s = 60.0 * 8
    seen = []
    for wave in range(1, 6):
        waves.add(begin_s + 10.0 * wave)
        found = waves.expected(begin_s + 10.0 * wave)
        seen.append(None if found is None else found.arrivals.interval_s)
    assert seen[0] is None
    assert seen[-1] == 10.0


def test_one_wave_may_stay_out_and_one_that_is_late_is_still_to_come() -> None:
    waves = joined(0.0, 5.2, 10.0, 20.0)
    late, missed = (waves.expected(now_s) for now_s in (25.1, 28.0))
    assert late is not None
    assert missed is not None
    assert late.begin_s < 25.1 < late.end_s
    assert missed.begin_s == pytest.approx(late.begin_s + late.arrivals.interval_s)


def test_waves_that_have_ended_are_not_expected_any_more() -> None:
    waves = joined(0.0, 5.0, 10.0, 15.0)
    assert waves.expected(15.0 + 5.0 * MISSED) is not None
    assert waves.expected(15.0 + 5.0 * MISSED + 0.1) is None


@given(
    st.floats(4.0, 1000.0),
    st.lists(st.floats(-TOLERANCE / 2, TOLERANCE / 2), min_size=LEAST_INTERVALS + 1, max_size=20),
)
def test_waves_that_are_late_or_early_by_a_little_keep_their_period(period_s: float, shifts: list[float]) -> None:
    waves, now_s = JoinWaves(), 0.0
    for shift in shifts:
        now_s += period_s * (1 + 0.8 * shift)
        waves.add(now_s)
    found = waves.expected(now_s)
    assert found is not None
    assert found.arrivals.interval_s == pytest.approx(period_s, rel=TOLERANCE)
    assert now_s < found.end_s
    assert found.arrivals.spread_s <= TOLERANCE * found.arrivals.interval_s


@given(st.lists(st.floats(0.0, 1e9), max_size=50), st.floats(0.0, 1e9))
def test_whatever_the_clock_does_an_expected_wave_makes_sense(times_s: list[float], now_s: float) -> None:
    found = joined(*times_s).expected(now_s)
    assert found is None or (found.begin_s <= found.end_s and found.arrivals.burst >= 1)
