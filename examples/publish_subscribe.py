"""One agent publishes weights and losses, another receives both: python examples/publish_subscribe.py [URL]

A late joiner of a `state` stream gets its newest message; a subscriber of an `event` stream gets every message from
then on.
"""

import asyncio
import sys

import numpy as np

from gateway.client import connect

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765"
STEPS = 1000


async def train() -> None:
    weights = np.zeros((512, 512), np.float32)
    async with connect(URL, client_id="trainer") as client:
        for step in range(STEPS):
            weights += 0.001
            client.publish_nowait("example/loss", np.float32(1 / (step + 1)), kind="event")
        result = await client.publish(
            "example/weights", {"w": weights, "b": np.zeros(512, np.float32)}, headers={"step": STEPS}
        )
        print(
            f"published offset {result.offset}: ratio {result.compression_ratio:.1f}, {result.latency_s * 1e3:.1f} ms"
        )


async def watch(ready: asyncio.Event) -> None:
    async with connect(URL, client_id="watcher") as client, client.subscribe("example/loss") as losses:
        ready.set()
        received = 0
        async for batch in losses.batches():  # what has arrived together: one array of shape (count,)
            received += batch.count
            if received >= STEPS:
                break
        print(f"received {received} losses, the last one {batch.array[-1]:.4f}; {losses.stats.dropped} dropped")


async def join_late() -> None:
    async with connect(URL, client_id="evaluator") as client, client.subscribe("example/*") as messages:
        message = await anext(messages)
        shapes = {name: tensor.shape for name, tensor in message.tensors.items()}
        print(f"joined late, got {message.stream} of step {message.headers['step']}: {shapes}")


async def main() -> None:
    ready = asyncio.Event()
    watching = asyncio.create_task(watch(ready))
    await ready.wait()
    await train()
    await watching
    await join_late()


asyncio.run(main())
