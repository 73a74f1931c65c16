"""Time limits: an answer that has come is not lost to a loop that was held up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

import pytest
import uvloop

from gateway.client.time_limit import READ_TURNS, STALL_S, TimeLimit

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


async def test_a_limit_cancels_the_wait() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError), TimeLimit(0.001):
        await never
    assert never.cancelled()


async def test_without_a_limit_or_in_time_nothing_is_cancelled() -> None:
    for timeout_s in (None, 60.0):
        with TimeLimit(timeout_s) as limit:
            limit.restart()
            await asyncio.sleep(0)


async def test_an_error_of_the_wait_is_its_own() -> None:
    with pytest.raises(ValueError, match="its own"), TimeLimit(60):
        raise ValueError("its own")


async def test_a_cancel_from_outside_is_no_timeout() -> None:
    async def wait() -> None:
        with TimeLimit(60):
            await asyncio.get_running_loop().create_future()

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_cancel_from_outside_counts_although_the_limit_has_passed() -> None:
    async def wait() -> None:
        with TimeLimit(0):
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()  # from outside, in the turn in which the limit has passed

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(wait())


async def test_a_limit_passes_in_a_task_that_was_cancelled_before() -> None:
    async def clean_up() -> int:
        task = asyncio.current_task()
        assert task is not None
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            with pytest.raises(TimeoutError), TimeLimit(0):
                await asyncio.get_running_loop().create_future()
        return task.cancelling()

    cleaning = asyncio.ensure_future(clean_up())
    await asyncio.sleep(0)
    cleaning.cancel()
    assert await cleaning == 1


async def test_an_error_that_the_limit_leads_to_is_not_replaced() -> None:
    async def wait() -> None:
        with TimeLimit(0):
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                raise ValueError("of cleaning up")

    with pytest.raises(ValueError, match="of cleaning up"):
        await wait()


async def test_no_timer_is_left_over() -> None:
    with TimeLimit(60) as limit:
        first = limit._handle
        limit.restart()
        second = limit._handle
        assert first is not None
        assert first.cancelled()
    assert second is not None
    assert second.cancelled()


async def test_both_limits_of_a_nested_wait_hold() -> None:
    with pytest.raises(TimeoutError), TimeLimit(0.001), TimeLimit(60):
        await asyncio.get_running_loop().create_future()


async def test_a_restart_after_the_limit_changes_nothing() -> None:
    async def wait() -> None:
        with TimeLimit(0.001) as limit:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                limit.restart()
                await asyncio.sleep(0.1)  # not cut off once more

    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(TimeoutError):
        await wait()
    assert task.cancelling() == 0


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize("turns", [1, READ_TURNS // 2])
def test_what_was_in_the_socket_is_read_before_the_limit_passes(
    new_loop: Callable[[], asyncio.AbstractEventLoop], turns: int
) -> None:
    loop = new_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def wait() -> str:
        answered: asyncio.Future[str] = loop.create_future()
        received = bytearray()

        def read() -> None:
            received.extend(ours.recv(16))
            if len(received) == 16 * turns:
                answered.set_result("answer")

        loop.add_reader(ours, read)
        try:
            with TimeLimit(STALL_S / 2):
                theirs.sendall(bytes(16 * turns))
                time.sleep(4 * STALL_S)  # noqa: ASYNC251 - a step of the program that holds up the loop
                return await answered
        finally:
            loop.remove_reader(ours)

    with ours, theirs, contextlib.closing(loop):
        assert loop.run_until_complete(wait()) == "answer"
