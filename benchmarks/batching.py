"""Program ``python -m benchmarks.batching``: frames and latency of small messages, with a latency objective or none.

Messages of 100 bytes come one by one at random, in bursts at random, or in bursts at a period. A stream that has an
objective may be collected in a flush window that plans try and keep. Exit code 0: all bounds were kept.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks import servers
from benchmarks.build import build
from benchmarks.load import load
from benchmarks.machine import describe
from benchmarks.report import concluded, failing_in_words, table

ARRIVALS: Final = ("poisson", "bursty", "periodic")
OBJECTIVE_S: Final = 0.005
RATE: Final = 20_000
MOST_FRAMES: Final = 0.5
"""Frames with an objective over those without, at most."""
SUBSCRIBERS: Final = 1

HEADER: Final = ("arrivals", "objective", "frames a second", "p50", "p99", "CPU of the gateway")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    frames_per_s: float
    p50_ms: float
    p99_ms: float
    busy: float
    """Share of its core that the gateway has worked."""

    def row(self, arrivals: str, objective_s: float) -> tuple[str, ...]:
        """Return the cells of the table."""
        objective = f"{objective_s * 1e3:g} ms" if objective_s else "none"
        times = f"{self.p50_ms:.2f} ms", f"{self.p99_ms:.2f} ms"
        return arrivals, objective, f"{self.frames_per_s:,.0f}", *times, f"{self.busy:.0%}"


def measure(arrivals: str, objective_s: float, warm_s: float, seconds: float) -> Measured:
    """Run a gateway, and one publisher and one subscriber.

    Args:
        arrivals: kind of the arrivals, as the load generator names it.
        objective_s: latency objective of the stream; 0: none.
        warm_s: time before the measurement, in which a window is tried.
        seconds: time that is measured.
    """
    rules = f'[[streams]]\npattern = "**"\nlatency_objective_s = {objective_s}\n' if objective_s else ""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "gateway.toml"
        config.write_text(f"{rules}[admission]\nhandshakes_per_s = 0\n", "utf-8")
        command = (sys.executable, "-m", "gateway", "serve", "--config", str(config), *servers.ANY_PORT)
        with servers.gateway(command) as server:
            server.settle()
            process = psutil.Process(server.pid)
            before = process.cpu_times()
            count = int(RATE * (warm_s + seconds))
            found = load(
                "latency",
                server,
                "frys",
                payload=100,
                rate=float(RATE),
                arrivals=arrivals,
                count=count,
                warmup=warm_s,
                patience=10.0,
            )
            after = process.cpu_times()
    busy_s = after.user + after.system - before.user - before.system
    return Measured(
        found["frames"] / (found["samples"] / RATE),
        found["p50_us"] / 1e3,
        found["p99_us"] / 1e3,
        busy_s / (warm_s + seconds),
    )


def _median(runs: Sequence[Measured]) -> Measured:
    return Measured(
        *[
            statistics.median([getattr(run, name) for run in runs])
            for name in ("frames_per_s", "p50_ms", "p99_ms", "busy")
        ]
    )


@failing_in_words
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batching", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", type=float, default=15.0, help="seconds in which a window is tried")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds that are measured")
    parser.add_argument("--arrivals", nargs="+", choices=ARRIVALS, default=ARRIVALS)
    parsed = parser.parse_args(arguments)
    build()
    print(f"# Messages that are collected under a latency objective\n\n{describe()}\n")
    rows, broken = [], []
    for arrivals in parsed.arrivals:
        plain, batched = (
            _median([measure(arrivals, objective_s, parsed.warm, parsed.seconds) for _ in range(parsed.rounds)])
            for objective_s in (0.0, OBJECTIVE_S)
        )
        rows += [plain.row(arrivals, 0.0), batched.row(arrivals, OBJECTIVE_S)]
        if not batched.p99_ms <= OBJECTIVE_S * 1e3:
            broken.append(f"{arrivals}: p99 is {batched.p99_ms:.2f} ms, the objective {OBJECTIVE_S * 1e3:g} ms")
        if not batched.frames_per_s <= MOST_FRAMES * plain.frames_per_s:
            broken.append(
                f"{arrivals}: {batched.frames_per_s:,.0f} frames a second, without an objective"
                f" {plain.frames_per_s:,.0f}"
            )
    print(table(HEADER, rows))
    return concluded(broken)


if __name__ == "__main__":
    sys.exit(main())
