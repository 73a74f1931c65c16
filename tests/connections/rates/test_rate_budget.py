"""Rate budget: a group that publishes only without debt keeps to its rate, and debts end in bounded time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.admission.settings import PublishBudget
from gateway.connections.rates.rate_budget import BURST_S, MAX_DEBT_S, RateBudget


@given(st.lists(st.tuples(st.floats(0.01, 2.0), st.floats(0, 3.0)), min_size=1, max_size=100), st.floats(1, 1e6))
def test_a_group_that_pays_its_debts_keeps_to_its_rate(steps: list[tuple[float, float]], per_s: float) -> None:
    """In each step it publishes messages of so many seconds, if it has no debt."""
    budget, now_s, published, largest_s = RateBudget(PublishBudget(messages_per_s=per_s)), 0.0, 0.0, 0.0
    for elapsed_s, wanted_s in steps:
        messages = 0.0 if budget.debt_s else wanted_s * per_s
        now_s += elapsed_s
        published += messages
        largest_s = max(largest_s, wanted_s)
        budget.spend(messages, 0.0, elapsed_s)
        assert published <= per_s * (now_s + BURST_S + largest_s) * (1 + 1e-9) + 1e-6


@given(st.floats(0, 1e12), st.floats(0, 1e15))
def test_a_debt_ends_in_bounded_time(messages: float, nbytes: float) -> None:
    budget = RateBudget(PublishBudget(10.0, 1000.0))
    budget.spend(messages, nbytes, 0.25)
    assert budget.debt_s <= MAX_DEBT_S
    for _ in range(round((MAX_DEBT_S + BURST_S) / 0.25) + 1):
        budget.spend(0.0, 0.0, 0.25)
    assert budget.at_rest
    assert budget.debt_s == 0


def test_each_bound_counts_by_itself() -> None:
    budget = RateBudget(PublishBudget(10.0, 1000.0))
    budget.spend(10.0, 1000.0, 0.5)
    assert budget.debt_s == 0
    assert (budget.messages_per_s, budget.bytes_per_s) == (20.0, 2000.0)
    budget.spend(0.0, 2000.0, 0.5)
    assert budget.debt_s == pytest.approx(1.5)
    budget.spend(0.0, 0.0, 1.0)
    budget.spend(30.0, 0.0, 0.5)
    assert budget.debt_s == pytest.approx(2.0)


def test_what_has_no_bound_is_no_debt() -> None:
    budget = RateBudget(PublishBudget(bytes_per_s=10.0))
    budget.spend(1e9, 5.0, 1.0)
    assert budget.debt_s == 0
    assert budget.load(1e9, 5.0) == 0.5
    assert RateBudget(PublishBudget()).load(1.0, 1.0) == 0
