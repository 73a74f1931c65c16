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

    def showed(self, state_ns: int) -> None:
        """Take note that a screen has shown a state of this time until now; 0: it was empty."""
        if state_ns:
            self.oldest_s = max(self.oldest_s, (time.monotonic_ns() - state_ns) / 1e9)

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
        self._shown_ns = [0] * count
        """Times of the states that the dashboards show; 0: none yet."""

    async def run(self) -> None:
        """Connect all, and follow commands until the input ends."""
        clients = [
            await connect(self._url, client_type="admin_panel", client_id=f"panel-{number}-of-{self._count}")
            for number in range(self._count)
        ]
        subscribed = [asyncio.Event() for _ in clients]
        looking = enumerate(zip(clients, subscribed, strict=True))
        tasks = [asyncio.create_task(self._look(number, *pair)) for number, pair in looking]
        for event in subscribed:
            await event.wait()
        print("ready", flush=True)
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if command == "begin":
                self._watch = Watch()
            else:
                # They still show it.
                self._watch.showed(min((shown_ns for shown_ns in self._shown_ns if shown_ns), default=0))
                print(json.dumps(self._watch.result()), flush=True)
        for task in tasks:
            task.cancel()
        for client in clients:
            await client.close()

    async def _look(self, number: int, client: Client, subscribed: asyncio.Event) -> None:
        async with client.subscribe(STREAM) as messages:
            subscribed.set()
            async for message in messages:
                now_ns, watch = time.monotonic_ns(), self._watch
                # Until now the screen has shown the state before.
                watch.showed(self._shown_ns[number])
                self._shown_ns[number] = int(message.tensor[0])
                watch.delays_s.append((now_ns - self._shown_ns[number]) / 1e9)


if __name__ == "__main__":
    asyncio.run(Program(sys.argv[1], int(sys.argv[2])).run())
