"""BySize: one of the largest items is found, whatever has happened to the others."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gateway.streams.by_size import BySize


@dataclass(eq=False)
class Item:
    name: int
    size: int = 0
    size_class: int = 0
    passed_over: bool = False


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["place", "remove", "set aside", "leave out"]), st.integers(0, 4), st.integers(0, 1 << 20)
    ),
    max_size=60,
)


@given(STEPS)
def test_the_largest_is_found_but_for_a_factor_of_two(steps: list[tuple[str, int, int]]) -> None:
    by_size: BySize[Item] = BySize()
    items = [Item(name) for name in range(5)]
    for step, name, size in steps:
        item = items[name]
        item.passed_over = step in ("set aside", "leave out")
        if step == "place":
            by_size.place(item, size)
            item.size = size
        elif step == "remove":
            by_size.remove(item)
            item.size = 0
        elif step == "set aside":
            by_size.set_aside(item)
        else:
            by_size.leave_out(item)
        found = by_size.largest()
        most = max([each.size for each in items if not each.passed_over], default=0)
        assert (found is None) == (most == 0)
        if found is not None:
            assert not found.passed_over
            assert found.size > most // 2


def test_items_of_about_the_same_size_take_turns() -> None:
    by_size: BySize[Item] = BySize()
    items = [Item(name) for name in range(3)]
    for item in items:
        by_size.place(item, 100 + item.name)
    assert [found.name for _ in range(6) if (found := by_size.largest()) is not None] == [0, 1, 2, 0, 1, 2]


def test_what_was_set_aside_comes_back_and_what_was_left_out_does_not() -> None:
    by_size: BySize[Item] = BySize()
    aside, out = Item(0), Item(1)
    by_size.set_aside(aside)
    by_size.leave_out(out)
    assert by_size.largest() is None
    assert [by_size.take_aside(), by_size.take_aside()] == [aside, None]
    for item in (aside, out):
        by_size.place(item, 1)
    assert {by_size.largest(), by_size.largest()} == {aside, out}
