"""Program ``python -m benchmarks [NAME ...]``: runs the benchmarks, and prints a report in markdown.

Exit code 0: all messages were verified, even if a goal was missed; 1: a message could not be verified.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from typing import Final

from benchmarks import arrays, fanout, idle, latency, priority, recovery, sdk, state, store, tensors
from benchmarks.build import build
from benchmarks.machine import allow_connections, describe
from benchmarks.processes import VerificationFailed
from benchmarks.report import Section, bars_table
from benchmarks.settings import Settings

BENCHMARKS: Final[dict[str, Callable[[Settings], Section]]] = {
    "fanout": fanout.run,
    "sdk": sdk.run,
    "arrays": arrays.run,
    "tensors": tensors.run,
    "latency": latency.run,
    "priority": priority.run,
    "idle": idle.run,
    "recovery": recovery.run,
    "state": state.run,
    "store": store.run,
}


def _read_arguments() -> tuple[list[str], Settings]:
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all if none is given")
    parser.add_argument(
        "--repeats",
        type=int,
        default=default.repeats,
        help="rounds of each measurement, interleaved between the servers",
    )
    parser.add_argument("--seconds", type=float, default=default.seconds, help="length of one measurement of a rate")
    parser.add_argument("--scale", type=float, default=default.scale, help="factor on counts; below 1 for a quick look")
    parser.add_argument("--gateway", type=shlex.split, default=default.gateway, help="command that starts the gateway")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"unknown benchmark {name!r}: {', '.join(BENCHMARKS)}")
    settings = Settings(arguments.repeats, arguments.seconds, arguments.scale, tuple(arguments.gateway))
    return arguments.names or list(BENCHMARKS), settings


def main() -> int:
    """Run the named benchmarks, and return the exit code."""
    names, settings = _read_arguments()
    begin = time.monotonic()
    build()
    allow_connections(0)
    print(f"# Benchmarks\n\n{describe()}\n")
    sections = []
    failures = []
    for name in names:
        try:
            section = BENCHMARKS[name](settings)
        except VerificationFailed as failure:  # a server that does not start
            failures.append(f"{name}: {failure}")
            print(f"## {name}\n\nNot verified: {failure}\n", flush=True)
        else:
            sections.append(section)
            failures += section.failures
            print(f"{section.markdown()}\n", flush=True)
    bars = [bar for section in sections for bar in section.bars]
    passed = sum(bar.passed for bar in bars)
    print(f"## Summary\n\n{bars_table(bars)}\n")
    print(f"{passed} of {len(bars)} bars reached in {time.monotonic() - begin:.0f} s; {len(failures)} not verified.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
