"""Shrinking: tables whose entries are gone give their room back, and keep the entries that are left."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.shrinking import SMALL, SPARSE, Shrinking


@pytest.mark.parametrize("new", [dict, OrderedDict])
def test_room_of_entries_that_are_gone_is_given_back(new: type[dict[int, None]]) -> None:
    table, other = new.fromkeys(range(100_000)), new.fromkeys(range(50_000))
    shrinking = Shrinking(table, other)
    full_bytes = sys.getsizeof(table) + sys.getsizeof(other)
    while len(table) > 10:
        number = table.popitem()[0]
        other.pop(number, None)
        shrinking.note()
    assert sys.getsizeof(table) + sys.getsizeof(other) < full_bytes / 20
    assert list(table) == list(other) == list(range(10))


def test_a_table_is_not_built_anew_for_each_entry_that_goes() -> None:
    built: list[int] = []

    class Watched(dict[int, None]):
        def update(self, *arguments: Any, **named: Any) -> None:
            built.append(len(arguments[0]))
            super().update(*arguments, **named)

    table = Watched.fromkeys(range(100_000))
    shrinking = Shrinking(table)
    while table:
        table.popitem()
        shrinking.note()
    assert len(built) < 5
    assert sum(built) * (SPARSE - 1) < 100_000


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * SMALL)), max_size=12))
def test_no_entry_is_lost_and_the_order_stays(changes: list[tuple[bool, int]]) -> None:
    table: dict[int, None] = {}
    expected: list[int] = []
    shrinking, number = Shrinking(table), 0
    for grows, count in changes:
        for _ in range(count):
            if grows:
                number += 1
                table[number] = None
                expected.append(number)
            elif expected:
                del table[expected.pop(0)]
                shrinking.note()
        assert list(table) == expected
