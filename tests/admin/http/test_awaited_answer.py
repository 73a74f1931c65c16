"""Awaited answer: a callback gives it, before or while a request waits, once."""

from __future__ import annotations

import asyncio

import pytest

from gateway.admin.http.awaited_answer import AwaitedAnswer


async def test_the_first_value_counts() -> None:
    answer = AwaitedAnswer[int]()
    answer.give(1)
    answer.give(2)
    assert await answer == 1


async def test_it_is_waited_for() -> None:
    answer = AwaitedAnswer[str]()
    asyncio.get_running_loop().call_soon(answer.give, "there")
    assert await answer == "there"


async def test_a_value_for_which_nobody_waits_any_more_is_ignored() -> None:
    answer = AwaitedAnswer[int]()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await answer
    answer.give(1)
