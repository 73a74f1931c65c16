"""Crowd: very many clients in a process of its own, which are cut off on command."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

import numpy as np
import uvloop

from benchmarks.slow.stage import OTHERS_CORE, idle_only
from benchmarks.storm.client import StormClient

PATIENCE_S: Final = 120.0
"""Longest time until all are there; those that are missing then are counted."""


class Arrival(NamedTuple):
    """How the crowd has come."""

    clients: int
    """Clients that are there."""
    seconds: float
    """Time until the last of them was."""
    median_s: float
    attempts: int
    refused: int
    """Attempts that the gateway answered with a time to return."""
    failed: int
    """Attempts that ended in another way."""


class Crowd:
    """Clients of one process.

    Args:
        port: the gateway's.
        clients: their number.
    """

    def __init__(self, port: int, clients: int) -> None:
        self._counts: Counter[str] = Counter()
        self._arrived_s: list[float] = []
        self._all_there = asyncio.Event()
        self._clients = [StormClient(number, port, self._welcomed, self._counts) for number in range(clients)]

    async def come(self, *, cut: bool) -> Arrival:
        """Have all connect, at once; return when they are there.

        Args:
            cut: they are there already, and lose their connections now.
        """
        self._counts.clear()
        self._arrived_s.clear()
        self._all_there.clear()
        begin_s = time.monotonic()
        for client in self._clients:
            if cut:
                client.cut()
            else:
                client.connect()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_there.wait(), PATIENCE_S)
        times_s = np.array([*self._arrived_s] or [np.inf]) - begin_s
        counts = self._counts
        return Arrival(
            len(self._arrived_s),
            float(times_s.max()),
            float(np.median(times_s)),
            counts["attempts"],
            counts["refused"],
            counts["failed"],
        )

    def _welcomed(self) -> None:
        self._arrived_s.append(time.monotonic())
        if len(self._arrived_s) >= len(self._clients):
            self._all_there.set()


def run_crowd(port: int, clients: int, commands: Connection) -> None:
    """Run the program of the process: have all come, then cut them off and have them return, each on command."""
    idle_only(OTHERS_CORE)
    uvloop.run(_run(port, clients, commands))


async def _run(port: int, clients: int, commands: Connection) -> None:
    crowd = Crowd(port, clients)
    loop = asyncio.get_running_loop()
    commands.send(None)
    while (command := await loop.run_in_executor(None, commands.recv)) is not None:
        commands.send(await crowd.come(cut=command == "cut"))
