"""Commander and worker: SDK clients that time control messages between them."""

from __future__ import annotations

import asyncio
import time
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from benchmarks.overload.plan import CONTROL_HZ, Heard
from benchmarks.sdk_clients import run_client
from gateway.client import Subscription, connect

STREAM: Final = "command/all"
SETTLE_S: Final = 20.0


def run_control(url: str, core: int, commands: Connection) -> None:
    """Run the program of the process: each number of seconds is a measurement; ``None`` ends it."""
    run_client(core, _run(url, commands))


async def _run(url: str, commands: Connection) -> None:
    problems: list[str] = []

    def fail(error: Exception) -> None:
        problems.append(f"{type(error).__name__}: {error}")

    latencies_s: dict[int, float] = {}
    async with (
        connect(url, client_type="admin_panel", client_id="commander", on_error=fail) as commander,
        connect(url, client_type="workflow", client_id="worker", on_error=fail) as worker,
        worker.subscribe(STREAM) as messages,
    ):
        reading = asyncio.create_task(_read(messages, latencies_s))
        commands.send(None)
        number = 0
        while (seconds := await asyncio.to_thread(commands.recv)) is not None:
            latencies_s.clear()
            problems.clear()
            sent, due_s = 0, time.perf_counter()
            end_s = due_s + seconds
            while due_s < end_s:
                due_s += 1 / CONTROL_HZ
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                number += 1
                sent += 1
                commander.publish_nowait(STREAM, np.array([number, due_s]), kind="control")
            deadline_s = time.perf_counter() + SETTLE_S
            while len(latencies_s) < sent and time.perf_counter() < deadline_s:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            times_ms = np.array([*latencies_s.values()] or [np.nan]) * 1e3
            p50, p99, slowest = (float(np.percentile(times_ms, share)) for share in (50, 99, 100))
            commands.send(Heard(sent, len(latencies_s), p50, p99, slowest, tuple(problems)))
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(messages: Subscription, latencies_s: dict[int, float]) -> None:
    async for message in messages:
        number, due_s = message.tensor
        latencies_s[int(number)] = time.perf_counter() - float(due_s)
