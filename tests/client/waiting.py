"""Lets the loop run until something is so, for what has no event to wait for."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool]) -> None:
    """Give way to everything else until ``condition`` holds; the test's own time limit ends a wait in vain."""
    loop = asyncio.get_running_loop()
    while not condition():
        turn = loop.create_future()
        loop.call_later(0.001, turn.set_result, None)
        await turn
