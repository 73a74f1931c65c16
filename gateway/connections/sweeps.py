"""Sweep: work of the core that recurs. The server repeats each sweep with a pause of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Sweep(NamedTuple):
    """Work that recurs."""

    pause_s: Callable[[], float]
    """Function that returns the seconds to wait before the work is done again."""
    work: Callable[[], Iterable[None] | None]
    """Function that does the work, at once or bit by bit: then the loop has a chance behind each item."""
