"""Long work in slices: in turn, bounded in time, resumed where it waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gateway.connections.slices import LET_GO_TOGETHER, SLICE_S, Slices, let_go, step_of
from tests.connections.memory import ManualClock


class Work:
    """A piece of work of several steps, each of which takes some time."""

    def __init__(self, clock: ManualClock, steps: int, step_s: float = 0.0, log: list[Work] | None = None) -> None:
        self.left = steps
        self._clock = clock
        self._step_s = step_s
        self._log = [] if log is None else log

    def step(self) -> bool:
        self.left -= 1
        self._log.append(self)
        self._clock.now_ns += round(self._step_s * 1e9)
        return self.left > 0


def test_work_is_done_from_the_next_turn_on_until_it_is_over() -> None:
    clock = ManualClock()
    slices = Slices(clock)
    work = Work(clock, 5)

    slices.add(work.step)

    assert work.left == 5
    clock.turn()
    assert work.left == 0
    assert slices.idle
    assert not clock.turn()


def test_a_turn_ends_in_time_and_the_next_one_goes_on() -> None:
    clock = ManualClock()
    slices = Slices(clock)
    works = [Work(clock, 4, step_s=SLICE_S / 2) for _ in range(2)]
    for work in works:
        slices.add(work.step)

    clock.turn()

    assert [work.left for work in works] == [3, 3]
    clock.turn()
    assert [work.left for work in works] == [2, 2]


def test_pieces_of_work_take_turns_whoever_has_most_to_do() -> None:
    clock = ManualClock()
    slices = Slices(clock)
    log: list[Work] = []
    long, short = Work(clock, 100, log=log), Work(clock, 2, log=log)
    slices.add(long.step)
    slices.add(short.step)

    clock.turn()

    assert log[:4] == [long, short, long, short]


def test_work_is_added_once_however_often_it_is_asked_for() -> None:
    clock = ManualClock()
    slices = Slices(clock)
    work = Work(clock, 1)
    slices.add(work.step)
    slices.add(work.step)

    clock.turn()

    assert work.left == 0


def test_work_that_is_added_by_its_own_last_step_goes_on() -> None:
    clock = ManualClock()
    slices = Slices(clock)
    taken: list[int] = []

    def step() -> bool:
        taken.append(len(taken))
        if len(taken) < 3:
            slices.add(step)
        return False

    slices.add(step)
    clock.turn()

    assert taken == [0, 1, 2]
    assert slices.idle


def test_work_that_is_dropped_is_not_done() -> None:
    clock = ManualClock()
    slices = Slices(clock)
    work = Work(clock, 3)
    slices.add(work.step)

    slices.drop(work.step)
    clock.turn()

    assert work.left == 3
    slices.drop(work.step)


@pytest.mark.parametrize("first", [True, False])
def test_work_that_fails_ends_and_the_others_go_on(first: bool, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    slices = Slices(clock)
    work = Work(clock, 2)

    def fail() -> bool:
        raise ValueError("broken")

    steps: list[Callable[[], bool]] = [fail, work.step] if first else [work.step, fail]
    for step in steps:
        slices.add(step)
    clock.turn()

    assert work.left == 0
    assert slices.idle
    assert "a step of long work failed" in caplog.text


def test_a_piece_of_work_is_done_part_by_part_or_several_parts_a_step() -> None:
    done: list[int] = []

    def work() -> Iterator[None]:
        for part in range(5):
            done.append(part)
            yield

    for together, expected in ((1, [1, 2, 3, 4, 5, 5]), (2, [2, 4, 5]), (9, [5])):
        done.clear()
        step = step_of(work(), together)
        counts = []
        more = True
        while more:
            more = step()
            counts.append(len(done))
        assert counts == expected
        assert not step()


def test_very_many_items_are_let_go_some_at_a_time() -> None:
    items = dict.fromkeys(range(2 * LET_GO_TOGETHER + 1))
    left = []
    more = True
    while more:
        more = let_go(items)
        left.append(len(items))
    assert left == [LET_GO_TOGETHER + 1, 1, 0]
    assert not let_go(items)


@pytest.mark.parametrize(("count", "turns"), [(LET_GO_TOGETHER, 0), (LET_GO_TOGETHER + 1, 1)])
def test_only_very_many_items_are_let_go_in_later_turns(count: int, turns: int) -> None:
    clock = ManualClock()
    items = dict.fromkeys(range(count))
    Slices(clock).let_go(items)
    assert [clock.turn() for _ in range(turns + 1)] == [True] * turns + [False]
    assert bool(items) == (not turns)


def test_the_first_step_is_taken_at_once_as_long_as_the_turn_has_time() -> None:
    clock = ManualClock()
    slices = Slices(clock)
    works = [Work(clock, 2, step_s=SLICE_S / 2) for _ in range(5)]

    for work in works:
        slices.begin(work.step)

    assert [work.left for work in works] == [1, 1, 2, 2, 2]
    slices.begin(works[0].step)
    assert works[0].left == 1
    while clock.turn():
        pass
    assert [work.left for work in works] == [0] * 5
    late = Work(clock, 1)
    slices.begin(late.step)
    assert late.left == 0
    assert slices.idle
