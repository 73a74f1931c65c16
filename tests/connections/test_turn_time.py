"""Time of one turn for work of one kind: shared by all who look at it, and new in each turn."""

from __future__ import annotations

from gateway.connections.turn_time import TurnTime
from tests.connections.memory import ManualClock

TIME_S = 0.001


def test_the_time_begins_with_the_first_look_and_is_over_for_all() -> None:
    clock = ManualClock()
    time = TurnTime(clock, TIME_S)
    clock.advance(10 * TIME_S)
    assert not time.spent()
    clock.advance(TIME_S / 2)
    assert not time.spent()
    clock.advance(TIME_S)
    assert time.spent()
    assert time.spent()


def test_each_turn_has_its_own_time() -> None:
    clock = ManualClock()
    time = TurnTime(clock, TIME_S)
    time.spent()
    clock.advance(2 * TIME_S)
    assert time.spent()
    assert clock.turn()
    assert not time.spent()
    clock.advance(2 * TIME_S)
    assert time.spent()


def test_a_turn_in_which_nobody_looks_costs_nothing() -> None:
    clock = ManualClock()
    time = TurnTime(clock, TIME_S)
    time.spent()
    assert clock.turn()
    assert not clock.turn()
