"""ReorderBuffer: whatever order the work is done in, it is finished in the order in which it came."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.reorder_buffer import ReorderBuffer, Slot

Numbers = list[int]


def note(finished: Numbers, number: int) -> Callable[[], None]:
    return lambda: finished.append(number)


@given(
    ready=st.lists(st.booleans(), max_size=12),
    order=st.lists(st.integers(0, 11), max_size=12),
)
def test_order_is_kept_whatever_is_done_first(ready: list[bool], order: list[int]) -> None:
    buffer = ReorderBuffer()
    finished: Numbers = []
    slots: list[tuple[Slot, int]] = []
    for number, is_ready in enumerate(ready):
        if is_ready:
            buffer.add_ready(note(finished, number))
        else:
            slots.append((buffer.reserve(), number))
    while slots:
        slot, number = slots.pop(order.pop() % len(slots) if order else -1)
        slot.fill(note(finished, number))
        assert finished == list(range(len(finished)))
        waiting = min([number for _, number in slots], default=len(ready))
        assert len(finished) == waiting, "everything before the first open slot is finished"
    assert finished == list(range(len(ready)))
    assert buffer.idle


@given(
    children=st.lists(st.lists(st.sampled_from(["ready", "last", "next"]), max_size=3), min_size=1, max_size=6),
    order=st.lists(st.integers(0, 30), max_size=40),
)
def test_callbacks_may_add_to_it(children: list[list[str]], order: list[int]) -> None:
    """Against a plain list: an added callback goes to its end, one that is next in turn right behind the running."""
    buffer = ReorderBuffer()
    finished: Numbers = []
    model: Numbers = []
    numbers = iter(range(1000))
    slots: list[tuple[Slot, Callable[[], None]]] = []

    def callback(number: int, adds: list[str]) -> Callable[[], None]:
        def finish() -> None:
            assert not buffer.idle
            assert model.pop(0) == number
            finished.append(number)
            for how in adds:
                child = next(numbers)
                if how == "next":
                    model.insert(0, child)
                else:
                    model.append(child)
                if how == "ready":
                    buffer.add_ready(callback(child, []))
                else:
                    slots.append((buffer.reserve_next() if how == "next" else buffer.reserve(), callback(child, [])))

        return finish

    for adds in children:
        number = next(numbers)
        model.append(number)
        slots.append((buffer.reserve(), callback(number, adds)))
    while slots:
        slot, finish = slots.pop(order.pop() % len(slots) if order else 0)
        slot.fill(finish)
    assert model == []
    assert sorted(finished) == list(range(len(finished)))
    assert buffer.idle


def test_a_ready_callback_is_called_at_once_when_nothing_is_before_it() -> None:
    buffer = ReorderBuffer()
    finished: Numbers = []
    buffer.add_ready(note(finished, 1))
    assert finished == [1]
    assert buffer.idle


def test_work_that_turns_out_to_take_longer_is_waited_for_by_all_behind_it() -> None:
    buffer = ReorderBuffer()
    finished: Numbers = []
    longer: list[Slot] = []
    first = buffer.reserve()
    buffer.add_ready(note(finished, 3))

    def needs_more() -> None:
        finished.append(1)
        longer.append(buffer.reserve_next())

    first.fill(needs_more)
    assert finished == [1]
    longer[0].fill(note(finished, 2))
    assert finished == [1, 2, 3]


def test_so_is_work_that_was_finished_without_waiting() -> None:
    buffer = ReorderBuffer()
    finished: Numbers = []
    longer: list[Slot] = []
    buffer.add_ready(lambda: longer.append(buffer.reserve_next()))
    buffer.add_ready(note(finished, 2))
    assert finished == []
    longer[0].fill(note(finished, 1))
    assert finished == [1, 2]


def test_a_slot_that_is_filled_by_a_callback_waits_for_its_turn() -> None:
    buffer = ReorderBuffer()
    finished: Numbers = []
    first, second, third = buffer.reserve(), buffer.reserve(), buffer.reserve()

    def finish() -> None:
        third.fill(note(finished, 3))
        second.fill(note(finished, 2))
        finished.append(1)

    first.fill(finish)
    assert finished == [1, 2, 3]
    assert buffer.idle


def test_an_error_goes_to_the_caller_and_holds_up_nobody() -> None:
    buffer = ReorderBuffer()
    finished: Numbers = []

    def fail() -> None:
        raise OSError("a bug")

    first = buffer.reserve()
    buffer.add_ready(note(finished, 2))
    open_slot = buffer.reserve()
    with pytest.raises(OSError, match="a bug"):
        first.fill(fail)
    assert finished == [2]
    open_slot.fill(note(finished, 3))
    assert finished == [2, 3]
    assert buffer.idle
