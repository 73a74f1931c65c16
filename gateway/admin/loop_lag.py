"""Measures how late the event loop is: what everything on it waits for beside its own work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

INTERVAL_S = 0.25


async def watch_loop(
    observe: Callable[[float], object], *, interval_s: float = INTERVAL_S, now: Callable[[], float] = time.monotonic
) -> None:
    """Tell ``observe``, every ``interval_s``, by how many seconds the loop was late; until cancelled.

    Args:
        now: a monotonic clock in seconds; not the loop's own, which uvloop stops while callbacks run.
    """
    while True:
        due = now() + interval_s
        await asyncio.sleep(interval_s)
        observe(max(0.0, now() - due))
