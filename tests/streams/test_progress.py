"""Progress against the plainest model: a set of settled offsets."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from gateway.streams import progress
from gateway.streams.progress import MAX_BEYOND, ConsumerProgress, Mark

FIRST = 5


@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.data())
def test_units_in_any_order_are_what_a_set_of_offsets_says(sizes: list[int], data: st.DataObject) -> None:
    units: list[tuple[int, int]] = []
    for size in sizes:
        first = units[-1][1] + 1 if units else FIRST
        units.append((first, first + size - 1))
    order = data.draw(st.permutations(units))
    found, settled = ConsumerProgress(Mark(FIRST)), set(range(FIRST))
    for first, last in order[: data.draw(st.integers(0, len(order)))]:
        found.settle(first, last)
        settled |= set(range(first, last + 1))
    end = units[-1][1] + 1
    assert found.next_offset == min(set(range(end + 1)) - settled)
    for first, last in units:
        assert found.covers(first, last) == ({first, last} <= settled)
    again = ConsumerProgress(found.mark())
    assert again.mark() == found.mark()
    assert [again.covers(*unit) for unit in units] == [found.covers(*unit) for unit in units]


def test_ranges_that_touch_are_one() -> None:
    found = ConsumerProgress(Mark(0))
    for first, last in [(4, 5), (8, 9), (6, 7), (2, 2)]:
        found.settle(first, last)
    assert found.mark() == Mark(0, ((2, 2), (4, 9)))
    found.settle(0, 1)
    assert found.mark() == Mark(3, ((4, 9),))
    found.settle(3, 3)
    assert found.mark() == Mark(10)


def test_a_mark_tells_no_more_than_so_many_ranges() -> None:
    found = ConsumerProgress(Mark(0))
    for offset in range(1, 2 * MAX_BEYOND + 3, 2):
        found.settle(offset, offset)
    assert len(found.mark().beyond) == progress.MAX_BEYOND
    assert found.mark().beyond[0] == (1, 1)
