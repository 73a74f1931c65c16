"""Time of one turn for fresh input: shared by all who look at it, and new in each turn."""

from __future__ import annotations

from gateway.connections.input_budget import INPUT_S, InputBudget
from tests.connections.memory import ManualClock


def test_the_time_begins_with_the_first_look_and_is_over_for_all() -> None:
    clock = ManualClock()
    budget = InputBudget(clock)
    clock.advance(10 * INPUT_S)
    assert not budget.spent()
    clock.advance(INPUT_S / 2)
    assert not budget.spent()
    clock.advance(INPUT_S)
    assert budget.spent()
    assert budget.spent()


def test_each_turn_has_its_own_time() -> None:
    clock = ManualClock()
    budget = InputBudget(clock)
    budget.spent()
    clock.advance(2 * INPUT_S)
    assert budget.spent()
    assert clock.turn()
    assert not budget.spent()
    clock.advance(2 * INPUT_S)
    assert budget.spent()


def test_a_turn_is_watched_until_its_end() -> None:
    clock = ManualClock()
    budget = InputBudget(clock)
    watched = [budget.watched]
    budget.watch()
    watched.append(budget.watched)
    clock.advance(2 * INPUT_S)
    assert budget.spent()
    assert clock.turn()
    assert [*watched, budget.watched] == [False, True, False]


def test_a_turn_in_which_nobody_looks_costs_nothing() -> None:
    clock = ManualClock()
    budget = InputBudget(clock)
    budget.spent()
    assert clock.turn()
    assert not clock.turn()
