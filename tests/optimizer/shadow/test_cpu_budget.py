"""CPU budget: in the long run trials take their share, whatever they cost and whenever they are asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.shadow.cpu_budget import BURST_S, CpuBudget

SLOTS = 4


def test_a_budget_that_has_just_begun_has_nothing_to_spend() -> None:
    budget = CpuBudget(0.05, 100.0)
    assert budget.trials_at(100.0, 0) == 0
    assert budget.trials_at(100.3, 0) == 1
    assert budget.trials_at(100.3, 1) == 0


def test_what_is_not_spent_is_kept_for_a_burst_only() -> None:
    budget = CpuBudget(0.05, 0.0)
    assert budget.trials_at(1000.0, 0) in (5, 6)


def test_a_clock_that_goes_back_earns_nothing() -> None:
    budget = CpuBudget(0.05, 100.0)
    assert budget.trials_at(0.0, 0) == 0
    assert budget.trials_at(0.1, 0) == 1


def test_a_trial_that_cannot_wait_borrows_a_burst_at_most() -> None:
    budget, count = CpuBudget(0.05, 0.0), 0
    while budget.may_borrow:
        budget.spend(0.01)
        count += 1
    assert count in (10, 11)
    assert budget.trials_at(BURST_S, 0) in (0, 1)
    assert budget.trials_at(2 * BURST_S, 0) > 1


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@given(costs=st.lists(st.floats(1e-4, 0.5), min_size=50, max_size=200))
def test_trials_take_their_share_and_no_more(share: float, costs: list[float]) -> None:
    budget, now_s, dearest_s = CpuBudget(share, 0.0), 0.0, max(costs)
    for cost_s in costs:
        now_s += 0.5
        for _ in range(min(SLOTS, budget.trials_at(now_s, 0))):
            budget.spend(cost_s)
        assert budget.spent_s <= share * now_s + SLOTS * dearest_s
