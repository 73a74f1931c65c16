"""Program ``python -m benchmarks.storm``: cuts very many clients off at once, and prints how they come back.

Exit code 0: all were back in time, and the client that stayed did not notice much; 1: a bound was broken, or a process
failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.children import answer, child
from benchmarks.machine import LOAD_CORE, allow_connections
from benchmarks.report import concluded, failing_in_words, table
from benchmarks.servers import SERVER_CORE
from benchmarks.slow.bystander import Outcome
from benchmarks.slow.stage import OTHERS_CORE, Stage, staged
from benchmarks.storm.client import STREAM
from benchmarks.storm.crowd import Arrival, run_crowd
from gateway.client import sync

CLIENTS: Final = 5000
BACK_S: Final = 30.0
"""Time in which all are back."""
P99_MS: Final = 250.0
"""Highest p99 of a client that stayed, meanwhile."""
SETTLE_S: Final = 2.0
DEFAULTS: Final = str(Path(__file__).with_name("gateway.toml"))

HEADER: Final = ("phase", "there", "last after", "half after", "attempts", "told to return", "failed", "p99", "slowest")


def _row(phase: str, arrival: Arrival, beside: Outcome) -> tuple[str, ...]:
    return (
        phase,
        f"{arrival.clients}",
        f"{arrival.seconds:.1f} s",
        f"{arrival.median_s:.1f} s",
        f"{arrival.attempts}",
        f"{arrival.refused}",
        f"{arrival.failed}",
        f"{beside.p99_ms:.1f} ms",
        f"{beside.slowest_ms:.0f} ms",
    )


def _broken(phase: str, clients: int, arrival: Arrival, beside: Outcome) -> list[str]:
    broken = []
    if arrival.clients < clients or arrival.seconds > BACK_S:
        broken.append(f"{arrival.clients} of {clients} were there after {arrival.seconds:.1f} s")
    if not beside.p99_ms <= P99_MS:
        broken.append(f"the client that stayed saw a p99 of {beside.p99_ms:.0f} ms, more than {P99_MS:g} ms")
    if beside.received < beside.sent:
        broken.append(f"the client that stayed received {beside.received} of its {beside.sent} messages")
    broken += [f"the client that stayed met {problem}" for problem in beside.problems[:1]]
    return [f"{phase}: {line}" for line in broken]


def _measure(stage: Stage, clients: int, rounds: int) -> tuple[list[tuple[str, ...]], list[str]]:
    rows, broken = list[tuple[str, ...]](), list[str]()
    with sync.connect(stage.url) as client:
        client.publish(STREAM, np.zeros(1000, np.float32), kind="state")
    with child(run_crowd, stage.server.port, clients) as crowd:
        answer(crowd)
        for phase in ("all come", *["all are cut off"] * rounds):
            stage.begin()
            crowd.send("come" if phase == "all come" else "cut")
            arrival: Arrival = answer(crowd)
            beside = stage.end()
            rows.append(_row(phase, arrival, beside))
            broken += _broken(phase, clients, arrival, beside)
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
            time.sleep(SETTLE_S)
        crowd.send(None)
    return rows, broken


@failing_in_words
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm", description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS, metavar="N", help=f"default: {CLIENTS}")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="times that all are cut off; default: 3")
    parser.add_argument("--config", default=DEFAULTS, metavar="FILE", help="configuration of the gateway")
    parsed = parser.parse_args(arguments)
    clients = allow_connections(parsed.clients)
    print(
        f"# A storm of reconnects\n\nGateway on core {SERVER_CORE}, a client that stays on core {LOAD_CORE}, {clients}"
        f" clients that are cut off on core {OTHERS_CORE} with its idle time only. p99 and slowest: of the messages of"
        " the client that stays.\n"
    )
    with staged(("--config", parsed.config)) as stage:
        rows, broken = _measure(stage, clients, parsed.rounds)
    print(table(HEADER, rows))
    return concluded(broken)


if __name__ == "__main__":
    sys.exit(main())
