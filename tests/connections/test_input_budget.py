"""Time of one turn for fresh input, which is watched behind what may take long."""

from __future__ import annotations

from gateway.connections.input_budget import INPUT_S, InputBudget
from tests.connections.memory import ManualClock


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
