"""Program ``python -m benchmarks.overload``: twice the load that the gateway can carry, and what becomes of it.

Exit code 0: memory and control messages stayed within their bounds; 1: a bound was broken, or a process failed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.children import answer, child
from benchmarks.machine import allow_connections
from benchmarks.overload.flood import run_load
from benchmarks.overload.plan import COMMANDS, CONTROL_P99_MS, MEMORY_LIMIT_BYTES, OVER, Flood, Load, Taken
from benchmarks.report import concluded, failing_in_words, table
from benchmarks.slow.stage import Stage, staged

LOOK_S: Final = 0.25


@contextmanager
def _staged(*, limited: bool) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "frys.toml"
        config.write_text(f"[overload]\nmemory_limit_bytes = {MEMORY_LIMIT_BYTES}\n" if limited else "")
        with staged(("--config", str(config)), COMMANDS) as stage:
            yield stage


class Phase:
    """Measurement of one flood, beside control messages."""

    def __init__(self, stage: Stage, load: Connection, flood: Flood) -> None:
        process = psutil.Process(stage.server.pid)
        stage.begin()
        load.send(flood)
        self.peak_bytes = 0
        self.stages: list[str] = []
        begin_s, cpu = time.monotonic(), process.cpu_times()
        while not load.poll(LOOK_S):
            self.peak_bytes = max(self.peak_bytes, stage.server.rss_bytes())
            label = _label_of_stage(stage.admin_port)
            if label and self.stages[-1:] != [label]:
                self.stages.append(label)
        after = process.cpu_times()
        self.cpu = (after.user + after.system - cpu.user - cpu.system) / (time.monotonic() - begin_s)
        self.taken: Taken = answer(load)
        self.heard = stage.end()

    @property
    def per_second(self) -> float:
        """Pairs that the gateway has taken in a second."""
        return self.taken.taken / self.taken.seconds

    def row(self, name: str) -> tuple[str, ...]:
        """Return the cells of the table."""
        taken, heard = self.taken, self.heard
        return (
            name,
            f"{taken.offered / taken.seconds:.0f}",
            f"{self.per_second:.0f}",
            f"{self.cpu:.0%}",
            f"{self.peak_bytes / 1e6:.0f} of {MEMORY_LIMIT_BYTES / 1e6:.0f} MB",
            f"{heard.p50_ms:.1f}, {heard.p99_ms:.1f}, {heard.slowest_ms:.0f} ms",
            f"{heard.received} of {heard.sent}",
            f"{taken.closed}, {taken.refused}",
            " ".join(self.stages) or "–",
        )


def _label_of_stage(admin_port: int) -> str:
    """Return the stage of overload that the gateway is in; empty: it does not tell."""
    address = f"http://127.0.0.1:{admin_port}/api/v1/overload"
    with suppress(OSError), urllib.request.urlopen(address, timeout=5) as found:
        fields: dict[str, Any] = json.load(found)
        return str(fields["stage"])
    return ""


@failing_in_words
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--unlimited", action="store_true", help="leave the limit of memory at its default")
    limited = not parser.parse_args(arguments).unlimited
    load_plan = Load()
    allow_connections(1000)
    rows: list[tuple[str, ...]] = []
    broken: list[str] = []
    with (
        _staged(limited=limited) as stage,
        child(run_load, stage.server.port, load_plan) as load,
    ):
        answer(load)

        def play(name: str, flood: Flood) -> Phase:
            print(f"{name} …", file=sys.stderr, flush=True)
            phase = Phase(stage, load, flood)
            rows.append(phase.row(name))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
            return phase

        quiet = play("quiet", Flood(2.0, 0.0, slow=False))
        carried = play("as fast as the gateway takes it", Flood(load_plan.seconds, math.inf, slow=False))
        twice = play(
            "twice that, and slow dashboards", Flood(2 * load_plan.seconds, OVER * carried.per_second, slow=True)
        )
        for name, phase in (("quiet", quiet), ("carried", carried), ("twice", twice)):
            if not phase.heard.p99_ms <= CONTROL_P99_MS:
                broken.append(f"{name}: control messages took {phase.heard.p99_ms:.1f} ms (p99)")
            if phase.heard.received < phase.heard.sent:
                broken.append(f"{name}: {phase.heard.received} of {phase.heard.sent} control messages came")
            broken += [f"{name}: {problem}" for problem in phase.heard.problems[:1]]
            if phase.peak_bytes > MEMORY_LIMIT_BYTES:
                broken.append(f"{name}: {phase.peak_bytes / 1e6:.0f} MB resident")
    header = (
        "load",
        "offered/s",
        "taken/s",
        "CPU",
        "memory",
        "control p50, p99, max",
        "came",
        "closed, refused",
        "stages",
    )
    print(table(header, rows))
    return concluded(broken)


if __name__ == "__main__":
    sys.exit(main())
