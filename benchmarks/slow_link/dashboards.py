"""Program ``python -m benchmarks.slow_link.dashboards URL COUNT``: dashboards that watch one state, and its age.

It prints a line when all are subscribed. ``begin`` on its standard input begins a measurement, ``end`` prints the
result as JSON. The end of its input ends it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Final

import numpy as np

from gateway.client import Client, connect

STREAM: Final = "wf/state"


class Watch:
    """States that all dashboards of this process have seen since the measurement began."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []
        self.oldest_s = 0.0

    def result(self) -> dict[str, float]:
        """Return the number of states, their delays, and the greatest age of a state on a screen."""
        delays_s = np.asarray(self.delays_s or [float("nan")])
        p50_s, p99_s = np.percentile(delays_s, [50, 99])
        return {
            "states": len(self.delays_s),
            "p50_ms": float(p50_s) * 1e3,
            "p99_ms": float(p99_s) * 1e3,
            "oldest_s": self.oldest_s,
        }


class Program:
    """The dashboards, and the measurement that runs."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url
        self._count = count
        self._watch = Watch()

    async def run(self) -> None:
        """Connect all, and follow commands until the input ends."""
        clients = [
            await connect(self._url, client_type="admin_panel", client_id=f"panel-{number}-of-{self._count}")
            for number in range(self._count)
        ]
        subscribed = [asyncio.Event() for _ in clients]
        tasks = [asyncio.create_task(self._look(*pair)) for pair in zip(clients, subscribed, strict=True)]
        for event in subscribed:
            await event.wait()
        print("ready", flush=True)
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if command == "begin":
                self._watch = Watch()
            else:
                print(json.dumps(self._watch.result()), flush=True)
        for task in tasks:
            task.cancel()
        for client in clients:
            await client.close()

    async def _look(self, client: Client, subscribed: asyncio.Event) -> None:
        shown_ns = 0
        async with client.subscribe(STREAM) as messages:
            subscribed.set()
            async for message in messages:
                now_ns, watch = time.monotonic_ns(), self._watch
                if shown_ns:
                    # Until now the screen has shown the state before.
                    watch.oldest_s = max(watch.oldest_s, (now_ns - shown_ns) / 1e9)
                shown_ns = int(message.tensor[0])
                watch.delays_s.append((now_ns - shown_ns) / 1e9)


if __name__ == "__main__":
    asyncio.run(Program(sys.argv[1], int(sys.argv[2])).run())
