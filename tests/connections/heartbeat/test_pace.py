"""Pace: who is asked how often."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.connections.heartbeat.pace import (
    CALM,
    LATE_DEVIATIONS,
    LATE_S,
    HeartbeatSettings,
    calm_after,
    less_calm,
    ping_interval_s,
)
from gateway.errors import InvalidArgument
from gateway.protocol.messages import ClientType
from gateway.protocol.round_trip import RoundTrip

WIDE = HeartbeatSettings(0.001, 1e6)


def test_each_type_of_client_has_a_time_of_its_own() -> None:
    intervals = [ping_interval_s(client_type, 0, 20.0, WIDE) for client_type in ClientType]
    assert len(set(intervals)) == len(ClientType)
    assert min(intervals) == ping_interval_s(ClientType.WORKFLOW, 0, 20.0, WIDE) == 10.0


@pytest.mark.parametrize("client_type", ClientType)
def test_a_calm_link_is_asked_less_often_within_the_bounds(client_type: ClientType) -> None:
    levels = CALM
    times = [ping_interval_s(client_type, calm, 20.0, WIDE) for calm in levels]
    assert all(2 * one == other for one, other in pairwise(times))
    bounds = HeartbeatSettings(15.0, 30.0)
    assert {min(max(each, 15.0), 30.0) for each in times} == {
        ping_interval_s(client_type, calm, 20.0, bounds) for calm in levels
    }


def test_one_bad_answer_ends_the_calm_of_many_good_ones() -> None:
    calm = 0
    for _ in range(10):
        calm = calm_after(calm, 0.01, RoundTrip(0.01, 0.001, 0.01))
    assert calm == CALM[-1]
    assert less_calm(calm) == -1
    for _ in range(10):
        calm = less_calm(calm)
    assert calm == CALM[0]
    assert calm_after(calm, None, None) == CALM[0] + 1


def test_an_answer_is_late_by_the_jitter_of_those_before() -> None:
    assert calm_after(1, 30.0, None) == 2
    steady, unsteady = RoundTrip(0.2, 0.001, 0.2), RoundTrip(0.2, 0.3, 0.01)
    assert calm_after(1, 0.2 + LATE_S * 0.99, steady) == 2
    assert calm_after(1, 0.2 + LATE_S * 1.01, steady) == -1
    assert calm_after(1, 0.2 + LATE_DEVIATIONS * 0.3 * 1.01, unsteady) == -1


@pytest.mark.parametrize("calm", CALM)
def test_a_link_with_jitter_is_not_asked_less_often(calm: int) -> None:
    assert calm_after(calm, 0.2, RoundTrip(0.2, 0.051, 0.1)) == min(calm, 0)
    assert calm_after(calm, 0.2, RoundTrip(0.2, 0.049, 0.1)) == min(calm + 1, CALM[-1])
    assert calm_after(calm, 0.01, RoundTrip(0.01, 0.024, 0.01)) == min(calm + 1, CALM[-1])


def test_bounds_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^min_ping_interval_s is 0: "):
        HeartbeatSettings(0)
    with pytest.raises(InvalidArgument, match=r"^min_ping_interval_s is 9, above max_ping_interval_s 8$"):
        HeartbeatSettings(9, 8)
    HeartbeatSettings(8, 8)
