"""TimerWheel: every entry comes due in its span, and no tick has more than its share."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.heartbeat.timer_wheel import TimerWheel

TICKS = 64


@given(st.lists(st.tuples(st.integers(1, TICKS - 1), st.integers(1, TICKS - 1), st.integers(0, 3)), max_size=100))
def test_an_entry_comes_due_once_and_in_its_span(spans: list[tuple[int, int, int]]) -> None:
    wheel: TimerWheel[int] = TimerWheel(TICKS)
    wanted: dict[int, tuple[int, int]] = {}
    tick, due = 0, dict[int, int]()

    def pass_ticks(count: int) -> None:
        nonlocal tick
        for _ in range(count):
            tick += 1
            for entry in wheel.turn():
                assert entry not in due
                due[entry] = tick

    for number, (one, other, pause) in enumerate(spans):
        earliest, latest = sorted((one, other))
        wheel.add(number, earliest, latest)
        wanted[number] = tick + earliest, tick + latest
        pass_ticks(pause)
    assert len(wheel) == len(wanted) - len(due)
    pass_ticks(TICKS)
    assert len(wheel) == 0
    assert due.keys() == wanted.keys()
    assert all(first <= due[number] <= last for number, (first, last) in wanted.items())


@pytest.mark.parametrize("together", [1, 7, 300])
def test_entries_that_come_together_part_for_good(together: int) -> None:
    """However few come in a tick, after some rounds about as many are due in each tick."""
    wheel: TimerWheel[int] = TimerWheel(TICKS)

    def turn() -> int:
        due = wheel.turn()
        for number in due:
            wheel.add(number, 10, 19)
        return len(due)

    for number in range(600):
        wheel.add(number, 10, 19)
        if number % together == together - 1:
            turn()
    counts = [turn() for _ in range(3000)][1000:]
    even = 600 / 14.5
    assert min(counts) >= even / 2
    assert max(counts) <= even * 1.5


@pytest.mark.parametrize("order", ["at once", "one a tick", "at random"])
def test_no_tick_has_more_than_its_share_in_whatever_order_they_come(order: str) -> None:
    """A span of so many ticks, and each entry is added again when it is due, as a heartbeat does."""
    count, span, rng = 5000, 20, random.Random(5)
    wheel: TimerWheel[int] = TimerWheel(TICKS)
    most = 0

    def turn() -> None:
        nonlocal most
        due = wheel.turn()
        most = max(most, len(due))
        for entry in due:
            wheel.add(entry, span, 2 * span - 1)

    for number in range(count):
        wheel.add(number, span, 2 * span - 1)
        if order == "one a tick" or (order == "at random" and rng.random() < 0.1):
            turn()
    for _ in range(20 * span):
        turn()
    assert most <= count // span + 1
    assert len(wheel) == count


def test_half_of_all_that_vanish_leave_the_others_spread() -> None:
    """Entries that no longer matter are not added again; those that come then find the free ticks."""
    wheel: TimerWheel[int] = TimerWheel(TICKS)
    for number in range(4000):
        wheel.add(number, 1, 20)
    for _ in range(20):
        for number in wheel.turn():
            if number % 2:
                wheel.add(number, 1, 20)
    for number in range(4000, 6000):
        wheel.add(number, 1, 20)
    assert max(len(wheel.turn()) for _ in range(20)) <= 4000 // 20 + 1
