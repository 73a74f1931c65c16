"""Work over very many items in steps, between which the loop turns."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from typing import TypeVar

from gateway.connections.snapshots import STEP

T = TypeVar("T")


async def in_steps(steps: Generator[None, None, T]) -> T:
    """Return the result of a generator that yields wherever the loop may turn."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        await asyncio.sleep(0)


async def taken(items: Iterable[T], limit: int, is_wanted: Callable[[T], bool]) -> tuple[list[T], bool]:
    """Return the first ``limit`` wanted items, and whether no more follow."""
    found: list[T] = []
    for index, item in enumerate(list(items), start=1):
        if is_wanted(item):
            if len(found) == limit:
                return found, False
            found.append(item)
        if not index % STEP:
            await asyncio.sleep(0)
    return found, True


async def largest(items: Iterable[T | None], limit: int, number_of: Callable[[T], float]) -> list[T]:
    """Return the ``limit`` items with the largest numbers, the largest first, and of equal ones the first.

    Args:
        items: taken one by one; ``None`` stands for an item that is not wanted.
        limit: number of items; each step costs as much as a sort of this many and ``STEP`` more.
        number_of: called once for each item.
    """
    remaining = iter(items)
    found: list[tuple[float, int, T]] = []
    at = 0
    while step := list(islice(remaining, STEP)):
        numbered = [(number_of(item), at - index, item) for index, item in enumerate(step) if item is not None]
        found = heapq.nlargest(limit, [*found, *numbered], key=lambda each: each[:2])
        at -= len(step)
        await asyncio.sleep(0)
    return [item for _, _, item in found]
