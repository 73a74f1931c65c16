"""Stopping: the times of its steps, and work that must not hold it up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

MAX_CLOSING_S: Final = 2.0
"""Longest time that is kept for what follows the delivery of queued messages; of a short deadline a quarter."""

MIN_STORING_S: Final = 1.0
"""Least time for the store to write what waits, however short the deadline is."""


class StopTimes(NamedTuple):
    """Times of the loop at which the steps of stopping end, done or not."""

    drained_s: float
    """End of the delivery of queued messages."""
    closed_s: float
    """End of the wait for clients that have not answered the close."""
    released_s: float
    """End of the wait for the admin port and the threads that encode."""
    stored_s: float
    """End of the wait for the store."""


def stop_times(now_s: float, deadline_s: float) -> StopTimes:
    """Return the times of stopping.

    Args:
        now_s: the present time of the loop.
        deadline_s: time that GO_AWAY announces; everything ends within it.
    """
    end_s = now_s + deadline_s
    closing_s = min(MAX_CLOSING_S, deadline_s / 4)
    return StopTimes(end_s - closing_s, end_s - closing_s / 2, end_s - closing_s / 4, max(end_s, now_s + MIN_STORING_S))


async def finish(work: Callable[[], object], until_s: float) -> None:
    """Run work that blocks in a thread of its own, which does not keep the process from ending.

    Args:
        work: its exception is raised here.
        until_s: time of the loop after which its end is not waited for.

    Raises:
        TimeoutError: the work has not ended in time; it goes on.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        error: Exception | None = None
        try:
            work()
        except Exception as caught:  # noqa: BLE001 - the caller gets the error
            error = caught
        # The loop may have ended: then there is nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, done, error)

    threading.Thread(target=run, name="frys-stop", daemon=True).start()
    async with asyncio.timeout_at(until_s):
        await done


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
