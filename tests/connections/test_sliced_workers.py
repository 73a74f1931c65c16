"""SlicedWorkers: work in steps on the loop's thread, and in threads."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest

from gateway.connections.ports import Steps
from gateway.connections.sliced_workers import AT_ONCE, SlicedWorkers, taken_at_once
from gateway.connections.slices import SLICE_S, Slices
from tests.collector import collector_off
from tests.connections.memory import ManualClock, StepWorkers


class Scene:
    """Workers, and all results in the order in which they came."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.clock.look_s = SLICE_S
        self.threads = StepWorkers()
        self.workers = SlicedWorkers(self.threads, Slices(self.clock))
        self.results: list[object] = []

    def submit(self, work: Callable[[], object] | Steps[object]) -> None:
        self.workers.submit(work, self.results.append)

    def settle(self) -> None:
        while self.clock.turn() or len(self.threads):
            if len(self.threads):
                self.threads.step()


def counting(steps: int, taken: list[str], name: str = "") -> Steps[str]:
    for _ in range(steps):
        taken.append(name)
        yield None
    return name


def test_a_function_runs_in_a_thread() -> None:
    scene = Scene()
    scene.submit(lambda: 7)
    assert not scene.clock.turn()
    scene.threads.step()
    assert scene.results == [7]


def test_steps_are_taken_between_turns_and_none_in_a_thread() -> None:
    scene, taken = Scene(), list[str]()
    scene.submit(counting(3, taken, "a"))
    assert not taken
    for number in range(1, 4):
        scene.clock.turn()
        assert (len(taken), scene.results) == (number, [])
    scene.clock.turn()
    assert (len(scene.threads), scene.results) == (0, ["a"])


def test_what_steps_ask_for_runs_in_a_thread_and_they_get_its_result() -> None:
    scene = Scene()

    def steps() -> Steps[object]:
        six = yield lambda: 6
        yield None
        with pytest.raises(ZeroDivisionError):
            yield lambda: 1 // 0
        return six + 1

    scene.submit(steps())
    scene.clock.turn()
    assert len(scene.threads) == 1
    assert not scene.clock.turn(), "no turn is spent on waiting"
    scene.settle()
    assert scene.results == [7]


def test_so_many_pieces_of_work_have_begun_and_the_others_wait_in_their_order() -> None:
    scene, taken = Scene(), list[str]()
    for number in range(AT_ONCE + 2):
        scene.submit(counting(2, taken, str(number)))
    scene.clock.turn()
    for _ in range(AT_ONCE - 1):
        scene.clock.turn()
    assert taken == [str(number) for number in range(AT_ONCE)]
    scene.settle()
    assert scene.results == [str(number) for number in range(AT_ONCE + 2)]


def test_an_exception_is_the_result_and_holds_nothing() -> None:
    class Payload:
        """Something large."""

    class Broken(ValueError):
        """An error that can be referred to weakly."""

    scene = Scene()
    held: list[weakref.ref[Payload]] = []

    def steps() -> Steps[object]:
        payload = Payload()
        held.append(weakref.ref(payload))
        yield None
        raise Broken

    with collector_off():
        scene.submit(steps())
        scene.settle()
        (error,) = scene.results
        assert isinstance(error, Broken)
        assert held[0]() is None
        went = weakref.ref(error)
        del error
        scene.results.clear()
        assert went() is None


def test_a_failed_piece_of_work_makes_room_for_the_next() -> None:
    scene, taken = Scene(), list[str]()

    def broken() -> Steps[Any]:
        yield None
        raise ValueError("broken")

    for _ in range(AT_ONCE):
        scene.submit(broken())
    scene.submit(counting(1, taken, "next"))
    scene.settle()
    assert scene.results[-1] == "next"


def test_all_steps_may_be_taken_at_once() -> None:
    def steps() -> Steps[int]:
        yield None
        six: int = yield lambda: 6
        return six + 1

    assert taken_at_once(steps()) == 7


def test_steps_that_are_taken_at_once_get_the_error_of_what_they_ask_for() -> None:
    def steps(*, handles: bool) -> Steps[str]:
        try:
            yield lambda: 1 // 0
        except ZeroDivisionError:
            if not handles:
                raise
        handled: str = yield lambda: "handled"
        return handled

    assert taken_at_once(steps(handles=True)) == "handled"
    with pytest.raises(ZeroDivisionError):
        taken_at_once(steps(handles=False))
