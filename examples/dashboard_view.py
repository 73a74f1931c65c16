"""Two dashboards watch a field that changes much faster than they draw: python examples/dashboard_view.py [URL]

The gateway computes each distinct view once for all its receivers. The simulation publishes complete arrays, and does
not know of the views.
"""

import asyncio
import sys

import numpy as np

from gateway.client import View, connect

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765"
STEPS = 200
ROWS = COLUMNS = 256
THUMBNAIL = View(slice=np.s_[::8, ::8], dtype="uint8", max_rate_hz=20)


async def simulate() -> None:
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    async with connect(URL, client_id="simulation") as client:
        for step in range(STEPS):
            field = np.sin(rows / 40 + step / 10) * np.cos(columns / 30)
            await client.publish("example/field", field, kind="state", headers={"step": step})


async def draw(name: str, ready: asyncio.Event) -> None:
    async with connect(URL, client_id=name) as client, client.subscribe("example/field", view=THUMBNAIL) as messages:
        ready.set()
        async for message in messages:
            if message.headers["step"] == STEPS - 1:
                break
        field, scale = message.dequantized(), message.quantization.scale
        print(f"{name}: {field.dtype} {field.shape} of {message.nbytes} bytes, off by {scale / 2:.4f} at most")
        print(f"{name}: {messages.stats.received} versions drawn, {messages.stats.conflated} skipped")


async def main() -> None:
    ready = asyncio.Event(), asyncio.Event()
    dashboards = [asyncio.create_task(draw(f"dashboard-{index}", event)) for index, event in enumerate(ready)]
    await asyncio.gather(*[event.wait() for event in ready])
    await simulate()
    await asyncio.gather(*dashboards)


asyncio.run(main())
