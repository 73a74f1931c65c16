"""Lets the loop run until something is so, for what has no event to wait for."""

import asyncio
from collections.abc import Callable

from gateway.client import Client


async def until(condition: Callable[[], bool]) -> None:
    """Give way to everything else until ``condition`` holds; the test's own time limit ends a wait in vain."""
    loop = asyncio.get_running_loop()
    while not condition():
        turn = loop.create_future()
        loop.call_later(0.001, turn.set_result, None)
        await turn


async def half_sent(client: Client) -> None:
    """Wait until the client has begun to send a large message to a peer that does not read."""
    session = client._core.session
    assert session is not None
    await until(lambda: session.unsent_bytes > 0)
