"""Publishes what the tests of the viewer look at: ``viewer_publisher.py URL SCENE``; runs until it is stopped.

``fixed``: some states and a series, once. ``large``: a state of 10,000 x 10,000. ``counter``: messages of a state and
of an event stream, 20 a second, whose elements all are their offset. ``frames``: versions of 1,000 x 1,000, 30 Hz,
of which each printed line tells number and time; the corner of a version has its number modulo 256. ``steady``:
versions of a state of 256 x 256, and numbers of a series, 30 a second or as many as a third argument says. ``points``:
100,000 numbers of that series, at once.
"""

import asyncio
import itertools
import sys
import time

import numpy as np

from gateway.client import Client, connect

POINTS = 200


async def fixed(client: Client) -> None:
    """Publish states of several dtypes, and a series of events with steps."""
    cells = np.arange(48, dtype=np.float32).reshape(6, 8)
    cells[2, 3] = np.nan
    await client.publish("view/cells", cells, kind="state", headers={"step": 7})
    rows, columns = np.mgrid[0:4, 0:6]
    image = np.stack([rows * 60, columns * 40, (rows + columns) * 20], axis=-1).astype(np.uint8)
    await client.publish("view/image", image, kind="state")
    await client.publish("view/exact", np.array([[2**62 + 1, -5]], np.int64), kind="state")
    await client.publish("view/cube", np.arange(120, dtype=np.float64).reshape(2, 3, 4, 5), kind="state")
    for step in range(POINTS):
        await client.publish("view/loss", np.float32(1 / (step + 1)), kind="event", headers={"step": step})


async def large(client: Client) -> None:
    """Publish a state of 400 MB, whose elements grow along the rows."""
    ramp = np.broadcast_to(np.arange(10_000, dtype=np.float32), (10_000, 10_000))
    await client.publish("view/large", np.ascontiguousarray(ramp), kind="state")


async def counter(client: Client) -> None:
    """Publish for ever."""
    for number in itertools.count():
        await client.publish("view/state", np.full((32, 32), number, np.float32), kind="state")
        await client.publish("view/events", np.full((16, 16), number, np.float32), kind="event")
        await client.publish("view/commands", np.array(number), kind="control", headers={"command": "save"})
        await asyncio.sleep(0.05)


async def frames(client: Client) -> None:
    """Publish noise, for ever."""
    field = np.random.default_rng(1).uniform(0, 255, (1000, 1000)).astype(np.float32)
    start = time.time()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, start + number / 30 - time.time()))
        field[:20, :20] = number % 256
        print(number, time.time(), flush=True)
        await client.publish("view/frames", field, kind="state")


async def steady(client: Client) -> None:
    """Publish at a fixed rate, for ever."""
    rate_hz = float(sys.argv[3]) if len(sys.argv) > 3 else 30.0
    field = np.random.default_rng(1).uniform(0, 1, (256, 256)).astype(np.float32)
    start = time.monotonic()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, start + number / rate_hz - time.monotonic()))
        field[:, number % 256] = number
        await client.publish("view/steady", field, kind="state")
        await client.publish("view/curve", np.float32(np.sin(number / 100)), kind="event")


async def points(client: Client) -> None:
    """Publish as many points of the series as a page keeps, as fast as they are taken."""
    for number in range(100_000):
        client.publish_nowait("view/curve", np.float32(number % 1000), kind="event")
        if not number % 500:
            await client.publish("view/curve", np.float32(0), kind="event")


SCENES = {"fixed": fixed, "large": large, "counter": counter, "frames": frames, "points": points, "steady": steady}


async def main(url: str, scene: str) -> None:
    """Connect, tell when the scene is there, and stay."""
    async with await connect(url, client_type="agent", client_id=f"scene-{scene}") as client:
        playing = asyncio.create_task(SCENES[scene](client))
        if scene in {"fixed", "large", "points"}:
            await playing
        if scene != "frames":
            print("ready", flush=True)
        await asyncio.gather(playing, asyncio.Event().wait())


asyncio.run(main(sys.argv[1], sys.argv[2]))
