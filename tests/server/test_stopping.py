"""Stopping: its steps end within the deadline, and work that blocks does not hold them up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.server.stopping import MAX_CLOSING_S, MIN_STORING_S, finish, stop_times


@pytest.mark.parametrize("deadline_s", [0.0, 0.1, 2.0, 10.0, 3600.0])
def test_all_steps_end_in_order_and_within_the_deadline(deadline_s: float) -> None:
    times = stop_times(1000.0, deadline_s)
    assert sorted(times) == list(times)
    assert times.drained_s >= 1000.0
    assert times.released_s <= 1000.0 + deadline_s
    assert times.stored_s == 1000.0 + max(deadline_s, MIN_STORING_S)
    # Nearly all of it is for clients.
    assert times.drained_s - 1000.0 >= max(0.75 * deadline_s, deadline_s - MAX_CLOSING_S)


async def test_work_that_blocks_is_done_elsewhere() -> None:
    threads: list[threading.Thread] = []
    loop = asyncio.get_running_loop()
    await finish(lambda: threads.append(threading.current_thread()), loop.time() + 60)
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


async def test_its_failure_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        await finish(lambda: 1 / 0, asyncio.get_running_loop().time() + 60)


async def test_it_is_waited_for_until_the_time_and_goes_on() -> None:
    go_on, done = threading.Event(), threading.Event()

    def work() -> None:
        assert go_on.wait(60)
        done.set()

    with pytest.raises(TimeoutError):
        await finish(work, asyncio.get_running_loop().time() + 0.01)
    assert not done.is_set()
    go_on.set()
    assert await asyncio.to_thread(done.wait, 60)
