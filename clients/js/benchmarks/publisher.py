"""Publishes arrays of float32 to the page that is measured: ``publisher.py ELEMENTS HZ SECONDS CODEC URL STREAM``.

HZ 0 means as fast as they are taken. The arrays are read from stdin, as bytes, one behind the other.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import numpy as np

from gateway.client import connect

UNDER_WAY = 8
TOGETHER = 64
"""Small arrays between two looks at what waits."""


async def ticks(hz: float, seconds: float) -> AsyncIterator[int]:
    """Yield the number of each array when it is to be sent."""
    start = time.monotonic()
    number = 0
    while (now := time.monotonic() - start) < seconds:
        yield number
        number += 1
        if hz:
            await asyncio.sleep(max(0.0, number / hz - now))


async def publish(url: str, stream: str, arrays: list[np.ndarray], hz: float, seconds: float, codec: str) -> None:
    """Publish arrays, with some of them under way at a time; one of a single element ends the run."""
    async with await connect(url, client_type="agent") as client:
        slots = asyncio.Semaphore(UNDER_WAY)

        async def publish_one(array: np.ndarray) -> None:
            await client.publish(stream, array, kind="event", codec=codec)
            slots.release()

        async with asyncio.TaskGroup() as tasks:
            async for number in ticks(hz, seconds):
                if arrays[0].size < 1024:
                    client.publish_nowait(stream, arrays[number % len(arrays)], kind="event")
                    if number % TOGETHER == TOGETHER - 1:
                        await client.drain()
                else:
                    await slots.acquire()
                    tasks.create_task(publish_one(arrays[number % len(arrays)]))
        await client.publish(stream, np.zeros(1, np.float32), kind="event")


_, ELEMENTS, HZ, SECONDS, CODEC, URL, STREAM = sys.argv
NUMBERS = list(np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(-1, int(ELEMENTS)))
asyncio.run(publish(URL, STREAM, NUMBERS, float(HZ), float(SECONDS), CODEC))
