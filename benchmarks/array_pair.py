"""Publisher and subscriber of one kind of client, in a process each, from its first measurement to its last."""

from __future__ import annotations

import ctypes
import itertools
import multiprocessing.connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final, Self

from benchmarks.array_clients import RECEIVING, ArrayPlan, AsyncClient, BlockingClient, Progress
from benchmarks.array_publisher import run_publisher
from benchmarks.array_subscriber import run_subscriber
from benchmarks.children import PATIENCE_S, SPAWN, answer
from benchmarks.machine import LOAD_CORE, SPARE_CORE
from benchmarks.processes import Server, VerificationFailed
from benchmarks.samples import Result

_streams: Final = itertools.count()


class Pair:
    """Publisher on the load's core, and subscriber on the third one. After a failure both are started anew."""

    def __init__(self, client: AsyncClient | BlockingClient, server: Server) -> None:
        self._client = client
        self._server = server
        self._progress = Progress(SPAWN.RawValue(ctypes.c_uint64, 0), SPAWN.RawValue(ctypes.c_int64, 0))
        self._processes: list[BaseProcess] = []
        self._commands: list[Connection] = []

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def measure(self, kind: str, size: int, window: int, seconds: float) -> Result:
        """Measure ``seconds`` of acknowledged publishes of ``size`` bytes, of which ``window`` are under way.

        Raises:
            VerificationFailed: an array was lost, doubled, out of order or changed, or a client has failed.
        """
        series = window if isinstance(self._client, BlockingClient) else 1
        stream = f"arrays/{next(_streams)}"
        plan = ArrayPlan(self._server.port, stream, kind, size, window, seconds, series)
        if not self._processes:
            self._start()
        try:
            readings = self._run(plan)
        except VerificationFailed:
            self._stop()
            raise
        return _result(plan, readings)

    def _start(self) -> None:
        for target, core in ((run_publisher, LOAD_CORE), (run_subscriber, SPARE_CORE)):
            ours, theirs = SPAWN.Pipe()
            arguments = self._client, core, self._server.pid, self._progress, theirs
            process = SPAWN.Process(target=target, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._commands.append(ours)

    def _stop(self) -> None:
        for process, commands in zip(self._processes, self._commands, strict=True):
            process.kill()
            process.join()
            process.close()
            commands.close()
        self._processes.clear()
        self._commands.clear()

    def _run(self, plan: ArrayPlan) -> Result:
        self._progress.received.value, self._progress.phase.value = 0, RECEIVING
        publisher, subscriber = self._commands
        subscriber.send(plan)
        _answer(subscriber)
        publisher.send(plan)
        readings: Result = {}
        waiting = [publisher, subscriber]
        while waiting:
            ready = multiprocessing.connection.wait(waiting, PATIENCE_S)
            if not ready:
                raise VerificationFailed(f"no answer in {PATIENCE_S:.0f} s")
            for commands in waiting:
                if commands in ready:
                    readings |= _answer(commands)
            waiting = [commands for commands in waiting if commands not in ready]
        return readings


def _answer(commands: Connection) -> Result:
    """Return the readings of a child, or raise its failure."""
    result: Result | VerificationFailed = answer(commands)
    if isinstance(result, VerificationFailed):
        raise result
    return result


def _result(plan: ArrayPlan, readings: Result) -> Result:
    """Return rates, CPU times a message in microseconds, and latencies."""
    received, acknowledged = readings["received"], readings["acknowledged"]
    arrived_s = (readings["last_ns"] - readings["begin_ns"]) / 1e9
    return {
        "bytes_per_second": received * plan.size / arrived_s,
        "per_second": received / arrived_s,
        "acknowledged_per_second": acknowledged / (readings["acknowledged_ns"] - readings["begin_ns"]) * 1e9,
        "publisher_us": readings["publisher_ns"] / acknowledged / 1e3,
        "server_us": (readings["server_end_ns"] - readings["server_begin_ns"]) / acknowledged / 1e3,
        "subscriber_us": readings["subscriber_ns"] / acknowledged / 1e3,
        "p50_us": readings["p50_us"],
        "p99_us": readings["p99_us"],
    }
