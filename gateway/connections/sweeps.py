"""Sweep: work of the core that recurs. The server repeats each sweep with a pause of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple


class Sweep(NamedTuple):
    """Work that recurs."""

    pause_s: Callable[[], float]
    """Function that returns the seconds to wait before the work is done again."""
    work: Callable[[], Iterable[None] | None]
    """Function that does the work, at once or bit by bit: then the loop has a chance behind each item."""


def timed(steps: Iterable[None], now_s: Callable[[], float], took: Callable[[float], object]) -> Iterator[None]:
    """Take the steps of work, and tell at the end how long they took: what the loop does between two does not count.

    Args:
        steps: the work.
        now_s: returns a time, best that of the thread.
        took: called with the seconds, once all steps are taken.
    """
    spent_s, began_s = 0.0, now_s()
    for _ in steps:
        spent_s += now_s() - began_s
        yield
        began_s = now_s()
    took(max(0.0, spent_s + now_s() - began_s))
