"""The loop's lag is how much later than asked for it comes back."""

from __future__ import annotations

import asyncio

from gateway.server.loop_lag import watch_loop


async def test_lag_is_what_exceeds_the_interval() -> None:
    ticks = iter([10.0, 10.0, 20.0, 20.75, 30.0, 29.0])
    observed: list[float] = []
    three = asyncio.Event()

    def observe(lag_s: float) -> None:
        observed.append(lag_s)
        if len(observed) == 3:
            three.set()

    watch = asyncio.ensure_future(watch_loop(observe, interval_s=0.0, now=lambda: next(ticks, 0.0)))
    await three.wait()
    watch.cancel()
    # A clock that goes back is no lag.
    assert observed[:3] == [0.0, 0.75, 0.0]
