"""Lag of the event loop: the delay that everything on the loop has beside its own work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

INTERVAL_S = 0.25


async def watch_loop(
    observe: Callable[[float], object], *, interval_s: float = INTERVAL_S, now: Callable[[], float] = time.monotonic
) -> None:
    """Measure until cancelled by how many seconds the loop wakes up too late.

    Args:
        observe: takes each measurement.
        interval_s: seconds between two measurements.
        now: a monotonic clock in seconds; not the loop's own, which uvloop stops while callbacks run.
    """
    while True:
        due = now() + interval_s
        await asyncio.sleep(interval_s)
        observe(max(0.0, now() - due))
