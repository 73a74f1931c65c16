"""Lag of the loop: what stands, and who is told of each measurement."""

from __future__ import annotations

from gateway.connections.overload.loop_lag import STANDING, LoopLag


def test_a_lag_stands_once_all_of_the_last_measurements_show_it() -> None:
    lag = LoopLag()
    told: list[float] = []
    lag.observers.append(told.append)
    measured = [0.5, *[0.2] * STANDING, 0.0]
    standing = []
    for lag_s in measured:
        lag.observe(lag_s)
        standing.append(lag.standing_s)
    assert standing == [0.0] * (STANDING - 1) + [0.2, 0.2, 0.0]
    assert told == measured
