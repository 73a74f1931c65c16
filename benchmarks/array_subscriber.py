"""Subscriber of ``arrays.py``, the program of a process that carries out one plan after the other."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection

import numpy as np
import uvloop

from benchmarks.array_clients import (
    BEGIN,
    ENDED,
    STARTED,
    ArrayPlan,
    AsyncClient,
    BlockingClient,
    Progress,
    Take,
    cpu_ns,
)
from benchmarks.processes import VerificationFailed, bind_to
from benchmarks.stamped_arrays import STAMP, Array, ArrivalCheck


class _Arrivals:
    """Arrays that arrive: each is verified, its latency is kept, and the CPU of verifying is left out."""

    def __init__(self, plan: ArrayPlan, progress: Progress, server_pid: int) -> None:
        self._check = ArrivalCheck(plan.size, 2 * plan.window, plan.series, conflated=plan.conflated)
        self._progress = progress
        self._server_pid = server_pid
        self._latencies_ns: list[int] = []
        self._last_ns = self._before = self._published = 0
        self._own_ns = self._verifying_ns = 0
        self._readings: dict[str, float] = {}

    def take(self, array: Array) -> bool:
        """Take an array, and return whether it is the last one."""
        now_ns = time.monotonic_ns()
        begin_ns = time.thread_time_ns()
        number, time_ns, index = STAMP.unpack_from(array.data)
        if number < 0:
            return self._mark(number, time_ns)
        self._check.check(array, number, time_ns, index)
        self._last_ns = now_ns
        self._latencies_ns.append(now_ns - time_ns)
        self._progress.received.value = self._check.received
        self._verifying_ns += time.thread_time_ns() - begin_ns
        return False

    def _mark(self, number: int, published: int) -> bool:
        if number == BEGIN:
            self._before = self._check.received
            self._latencies_ns.clear()
            self._own_ns, self._verifying_ns = time.process_time_ns(), 0
            self._progress.phase.value = STARTED
            return False
        own_ns = time.process_time_ns() - self._own_ns - self._verifying_ns
        self._published = published
        latencies_us = np.array(self._latencies_ns) / 1e3
        self._readings = {
            "subscriber_ns": own_ns,
            "server_end_ns": cpu_ns(self._server_pid),
            "received": self._check.received - self._before,
            "last_ns": self._last_ns,
            **{f"p{part}_us": float(np.percentile(latencies_us, part)) for part in (50, 99) if len(latencies_us)},
        }
        return True

    def finish(self, conflated: int) -> dict[str, float]:
        """Verify the count of messages, let the publisher go, and return the readings."""
        self._check.finish(self._published, conflated)
        self._progress.phase.value = ENDED
        return self._readings


def run_subscriber(
    client: AsyncClient | BlockingClient, core: int, server_pid: int, progress: Progress, commands: Connection
) -> None:
    """Receive each plan that comes through ``commands``, until killed; answer when subscribed, and by the readings."""
    bind_to(core)

    def started() -> None:
        commands.send({})

    async def receive(client: AsyncClient, plan: ArrayPlan, take: Take) -> int:
        return await client.receive(plan, started, take)

    while True:
        plan: ArrayPlan = commands.recv()
        arrivals = _Arrivals(plan, progress, server_pid)
        try:
            if isinstance(client, AsyncClient):
                conflated = uvloop.run(receive(client, plan, arrivals.take))
            else:
                conflated = client.receive(plan, started, arrivals.take)
            commands.send(arrivals.finish(conflated))
        except VerificationFailed as failure:
            commands.send(failure)
