"""Benchmark 2, and the SDK's part of benchmark 4: through both SDKs, each in a process of its own.

With two cores the subscriber shares the server's core: the publisher, with a Python call for each message, needs one
alone.
"""

from __future__ import annotations

import ctypes
import itertools
import multiprocessing
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final

from benchmarks import fanout, sdk_clients, servers
from benchmarks.machine import LOAD_CORE, SPARE_CORE
from benchmarks.processes import Server, VerificationFailed
from benchmarks.report import Bar, Section, spread, table
from benchmarks.samples import Result, Samples
from benchmarks.settings import Settings

SDK: Final = "both SDKs"
BATCHES: Final = "SDKs, record batches"
TIMEOUT_S: Final = 60.0

SPAWN: Final = multiprocessing.get_context("spawn")
_runs: Final = itertools.count()


@contextmanager
def child(target: Callable[..., None], *arguments: object) -> Iterator[BaseProcess]:
    """Run ``target`` in a process of its own, which ends with the context."""
    process = SPAWN.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()


def result_of(results: sdk_clients.Results, *children: BaseProcess) -> Result:
    """Return the subscriber's result. A child that fails prints a traceback, and ends with an exit code above 0."""
    for _ in range(int(TIMEOUT_S * 10)):
        try:
            result = results.get(timeout=0.1)
        except queue.Empty:
            if any(child.exitcode for child in children):
                raise VerificationFailed("an SDK client failed; its traceback is above") from None
        else:
            return result
    raise VerificationFailed(f"no result through the SDKs in {TIMEOUT_S:.0f} s")


def measure_batches(server: Server, seconds: float) -> Result:
    """Measure messages a second from ``publish_nowait`` to ``batches()``; the subscriber verifies count and order."""
    results: sdk_clients.Results = SPAWN.Queue()
    progress = sdk_clients.Progress(SPAWN.RawValue(ctypes.c_uint64, 0), SPAWN.RawValue(ctypes.c_uint64, 0))
    subscribed = SPAWN.Event()
    plan = sdk_clients.Plan(f"ws://127.0.0.1:{server.port}", f"sdk-{next(_runs)}/records")
    with (
        child(sdk_clients.subscribe_batches, plan, SPARE_CORE, progress, subscribed, results) as subscriber,
        child(sdk_clients.publish_records, plan, LOAD_CORE, progress, subscribed, seconds) as publisher,
    ):
        return result_of(results, subscriber, publisher)


def measure_latency(server: Server, rate: float, count: int) -> Result:
    """Measure publish to deliver through both SDKs, at ``rate`` messages a second; 0: with one message in flight."""
    results: sdk_clients.Results = SPAWN.Queue()
    subscribed = SPAWN.Event()
    arrivals: tuple[Connection, Connection] = SPAWN.Pipe(duplex=False)
    plan = sdk_clients.Plan(f"ws://127.0.0.1:{server.port}", f"sdk-{next(_runs)}/latency")
    with (
        child(sdk_clients.time_arrivals, plan, LOAD_CORE, arrivals[1], subscribed, results, count) as subscriber,
        child(sdk_clients.publish_paced, plan, LOAD_CORE, arrivals[0], subscribed, rate, count) as publisher,
    ):
        return result_of(results, subscriber, publisher)


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    samples = Samples()
    with servers.gateway(settings.gateway) as server:
        server.settle()
        for _ in range(settings.repeats):
            samples.take(BATCHES, SDK, partial(measure_batches, server, 2 * settings.seconds), "per_second")
    single = fanout.measure(settings, (fanout.ONE,), peers=False)
    rows = [
        (BATCHES, spread(samples, BATCHES, SDK, "per_second"), f"{samples.median(BATCHES, SDK, 'batch'):.0f}"),
        *(
            (f"raw sockets, {whom}", spread(single, fanout.ONE.name, whom, "per_second"), batch)
            for whom, batch in ((fanout.FRYS, "1"), (fanout.FRYS_SINGLE, "1"), (fanout.FRYS_BATCH, "64"))
        ),
    ]
    packed = single.median(fanout.ONE.name, fanout.FRYS, "per_second")
    bars = (
        Bar("both SDKs with record batches", samples.median(BATCHES, SDK, "per_second") / 1e6, 1.0, "M/s"),
        Bar("through the server without batches", packed / 1e6, 4.0, "M/s"),
    )
    text = (
        f"Messages of 100 bytes a second, end to end, count and order verified: median of {settings.repeats} "
        f"(lowest–highest). With the SDKs: `publish_nowait` on core {LOAD_CORE}, the server on core "
        f"{servers.SERVER_CORE}, `batches()` on core {SPARE_CORE}."
    )
    tables = (table(("", "messages/s", "in a frame"), rows),)
    failures = (*samples.failures, *single.failures)
    return Section("One publisher, one subscriber", text, tables, bars, failures)
