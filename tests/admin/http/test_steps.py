"""Work in steps: nothing is left out, and others have their turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.http.steps import in_steps, largest, taken
from gateway.connections.snapshots import STEP

T = TypeVar("T")


async def turns_during(work: Awaitable[T]) -> tuple[T, int]:
    """What becomes of work, and how often the loop turned meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        return await work, turns
    finally:
        counting.cancel()


async def test_a_generator_lets_the_loop_turn_wherever_it_yields() -> None:
    def steps() -> Iterator[None]:
        for _ in range(5):
            yield
        return "done"  # type: ignore[return-value]

    assert await turns_during(in_steps(steps())) == ("done", 5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("limit", "last"), [(1, False), (2 * STEP, False), (2 * STEP + 1, True), (10_000, True)])
async def test_the_first_that_are_wanted(limit: int, last: bool) -> None:
    even = await taken(range(4 * STEP + 1), limit, lambda number: not number % 2)
    assert even == (list(range(0, 4 * STEP + 1, 2))[:limit], last)


async def test_very_many_items_are_looked_at_in_several_turns() -> None:
    found, turns = await turns_during(taken(range(10 * STEP), 1, lambda number: number == 10 * STEP - 1))
    assert (found, turns) == (([10 * STEP - 1], True), 10)
    numbers, turns = await turns_during(largest(range(10 * STEP), 2, float))
    assert (numbers, turns) == ([10 * STEP - 1, 10 * STEP - 2], 10)


@given(st.lists(st.none() | st.integers(0, 5), max_size=40), st.integers(1, 12))
def test_the_largest_as_sorting_all_would_give_them(numbers: list[int | None], limit: int) -> None:
    items = [None if number is None else (number, place) for place, number in enumerate(numbers * 20)]
    wanted = [item for item in items if item is not None]
    found = asyncio.run(largest(items, limit, lambda item: item[0]))
    assert found == sorted(wanted, key=lambda item: (-item[0], item[1]))[:limit]
