"""Sends arrays of float32 to the page that is measured: ``sender.py WAY ELEMENTS HZ SECONDS [URL STREAM]``.

WAY is ``gateway`` (publishes events to it) or ``plain`` (a WebSocket server that sends each array as one message, and
prints its URL). HZ 0 means as fast as they are taken.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import numpy as np
from websockets.asyncio.server import ServerConnection, serve

from gateway.client import connect

ARRAYS = 16
"""Arrays that are sent in turns, each of other numbers."""

UNDER_WAY = 8


async def ticks(hz: float, seconds: float) -> AsyncIterator[int]:
    """Yield the number of each array when it is to be sent."""
    start = time.monotonic()
    number = 0
    while (now := time.monotonic() - start) < seconds:
        yield number
        number += 1
        await asyncio.sleep(max(0.0, number / hz - now) if hz else 0)


async def publish(url: str, stream: str, arrays: list[np.ndarray], hz: float, seconds: float) -> None:
    """Publish arrays, with some of them under way at a time; one of a single element ends the run."""
    async with await connect(url, client_type="agent") as client:
        slots = asyncio.Semaphore(UNDER_WAY)

        async def publish_one(array: np.ndarray) -> None:
            await client.publish(stream, array, kind="event", codec="none")
            slots.release()

        async with asyncio.TaskGroup() as tasks:
            async for number in ticks(hz, seconds):
                if arrays[0].size < 1024:
                    client.publish_nowait(stream, arrays[number % ARRAYS], kind="event")
                    if number % 64 == 63:
                        await client.drain()
                else:
                    await slots.acquire()
                    tasks.create_task(publish_one(arrays[number % ARRAYS]))
        await client.publish(stream, np.zeros(1, np.float32), kind="event")


async def serve_plain(arrays: list[np.ndarray], hz: float, seconds: float) -> None:
    """Send arrays to the first client."""
    served = asyncio.Event()

    async def send(client: ServerConnection) -> None:
        async for number in ticks(hz, seconds):
            await client.send(arrays[number % ARRAYS].data.cast("B"))
        await client.send(np.zeros(1, np.float32).data.cast("B"))
        await client.wait_closed()
        served.set()

    async with serve(send, "127.0.0.1", 0, compression=None) as server:
        print(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await served.wait()


_, WAY, ELEMENTS, HZ, SECONDS, *ADDRESS = sys.argv
GENERATOR = np.random.default_rng(1)
NUMBERS = [GENERATOR.random(int(ELEMENTS), np.float32) for _ in range(ARRAYS)]
if WAY == "plain":
    asyncio.run(serve_plain(NUMBERS, float(HZ), float(SECONDS)))
else:
    asyncio.run(publish(ADDRESS[0], ADDRESS[1], NUMBERS, float(HZ), float(SECONDS)))
