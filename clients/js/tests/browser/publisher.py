"""Publishes versions of a state: ``publisher.py URL STREAM HZ SECONDS SHAPE CODEC``.

All elements of a version are its number, from 1.
"""

import asyncio
import sys
import time

import numpy as np

from gateway.client import connect


async def main(url: str, stream: str, hz: float, seconds: float, shape: list[int], codec: str) -> None:
    """Publish the versions at equal distances, and end when all are acknowledged."""
    async with await connect(url, client_type="agent") as client:
        start = time.monotonic()
        for version in range(1, round(hz * seconds) + 1):
            await client.publish(stream, np.full(shape, version, np.float32), kind="state", codec=codec)
            await asyncio.sleep(max(0.0, start + version / hz - time.monotonic()))


_, URL, STREAM, HZ, SECONDS, SHAPE, CODEC = sys.argv
asyncio.run(main(URL, STREAM, float(HZ), float(SECONDS), [int(size) for size in SHAPE.split(",")], CODEC))
