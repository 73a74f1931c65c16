"""Benchmark 8: acknowledged publishes a second at each level of durability.

One publisher with one message in flight measures the time of a commit; many publishers share commits (group commit).
"""

from __future__ import annotations

import itertools
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import sdk_clients, servers, store_clients
from benchmarks.machine import LOAD_CORE
from benchmarks.processes import Server
from benchmarks.report import Section, grid, spread, table
from benchmarks.samples import Result, Samples
from benchmarks.sdk import SPAWN, child, result_of
from benchmarks.settings import Settings
from gateway.protocol.durability import Durability


@dataclass(frozen=True, slots=True)
class Scenario:
    """Number of publishers, and of the messages that each has in flight."""

    name: str
    publishers: int
    pack: int


ONE: Final = Scenario("1 publisher, 1 in flight", 1, 1)
MANY: Final = Scenario("64 publishers, 1 in flight each", 64, 1)
PACKED: Final = Scenario("16 publishers, 64 in flight each", 16, 64)
SCENARIOS: Final = (ONE, MANY, PACKED)

_runs: Final = itertools.count()


def measure(server: Server, scenario: Scenario, level: Durability, seconds: float) -> Result:
    """Measure acknowledged publishes a second to a stream of its own, and the latency of each."""
    results: sdk_clients.Results = SPAWN.Queue()
    plan = sdk_clients.Plan(f"ws://127.0.0.1:{server.port}", f"store-{os.getpid()}/{next(_runs)}")
    arguments = plan, LOAD_CORE, results, level.value, scenario.publishers, scenario.pack, seconds
    with child(store_clients.publish, *arguments) as publishers:
        return result_of(results, publishers)


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    samples = Samples()
    # In the working directory: the one for temporary files may be in memory, where fsync costs nothing.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-store-") as folder:
        command = [*settings.gateway, "--store", f"sqlite:{folder}/streams.db"]
        with servers.gateway(command) as server:
            server.settle()
            for _ in range(settings.repeats):
                for scenario in SCENARIOS:
                    for level in Durability:
                        take = partial(measure, server, scenario, level, settings.seconds)
                        samples.take(scenario.name, level, take, "per_second")

    def cell(what: str, whom: str) -> str:
        return spread(samples, what, whom, "per_second")

    latencies = [
        (level, *(f"{samples.median(ONE.name, level, key):,.0f}" for key in ("p50_us", "p99_us")))
        for level in Durability
    ]
    text = (
        f"Acknowledged publishes of {len(store_clients.PAYLOAD)} bytes a second to one `event` stream, from raw "
        f"sockets: median of {settings.repeats} (lowest–highest). Every acknowledgement is checked for its level, and "
        "the offsets for gaps. At `memory` the last two are bounded by the publishers, which are in Python on one core."
    )
    names = [scenario.name for scenario in SCENARIOS]
    tables = (
        grid(samples, "acknowledged/s", names, list(Durability), cell),
        table(("1 in flight, µs", "median", "p99"), latencies),
    )
    return Section("Durability", text, tables, (), tuple(samples.failures))
