"""Tests sets of numbers against Python's own."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.client.subscribing.ranges import Ranges

spans = st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(spans, max_size=30), spans)
def test_it_holds_what_was_added(added: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    ranges, numbers = Ranges(), set[int]()
    for first, last in added:
        ranges.add(first, last)
        numbers |= set(range(first, last + 1))
    found = list(ranges)
    assert {number for first, last in found for number in range(first, last + 1)} == numbers
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(found))
    assert ranges.covers(*asked) == set(range(asked[0], asked[1] + 1)).issubset(numbers)


def test_the_lowest_gap_is_forgotten_past_the_limit() -> None:
    ranges = Ranges(limit=2)
    for number in (0, 2, 4):
        ranges.add(number, number)
    assert list(ranges) == [(0, 2), (4, 4)]
