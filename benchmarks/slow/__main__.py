"""Program ``python -m benchmarks.slow``: runs all scenarios or some, and prints markdown tables.

Exit code 0: all bounds were kept; 1: one was broken, or a process failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from benchmarks.machine import LOAD_CORE, allow_connections
from benchmarks.processes import VerificationFailed
from benchmarks.report import concluded, table
from benchmarks.servers import SERVER_CORE
from benchmarks.slow import hostile, lagging_readers, many_streams
from benchmarks.slow.plan import Sizes
from benchmarks.slow.stage import OTHERS_CORE

CONNECTIONS: Final = 4000
"""Connections at once, of the largest attack and some more."""
MANY_STREAMS: Final = "many-streams"
LAGGING_READERS: Final = "lagging-readers"
HOSTILE: Final = "hostile"


class Measured(Protocol):
    """Result of one measurement."""

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""

    def broken(self) -> list[str]:
        """Return a line for each broken bound."""


Measurement = tuple[str, Callable[[], Sequence[Measured]]]
"""Name, and what measures it."""


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    sizes = Sizes()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.slow",
        description=__doc__,
        epilog="benchmarks/README.md describes the scenarios and their bounds.",
    )
    scenarios = (MANY_STREAMS, LAGGING_READERS, HOSTILE)
    parser.add_argument(
        "scenarios", nargs="*", metavar="scenario", help=f"some of {', '.join(scenarios)}; default: all"
    )
    parser.add_argument(
        "--attacks",
        nargs="+",
        choices=hostile.ATTACKS,
        default=list(hostile.ATTACKS),
        metavar="NAME",
        help=f"of the scenario {HOSTILE}: some of {', '.join(hostile.ATTACKS)}",
    )
    of_many, of_lagging = f"of the scenario {MANY_STREAMS}; default: ", f"of the scenario {LAGGING_READERS}; default: "
    parser.add_argument("--streams", type=int, default=sizes.streams, metavar="N", help=f"{of_many}{sizes.streams}")
    parser.add_argument(
        "--lagging-streams",
        type=int,
        default=sizes.lagging_streams,
        metavar="N",
        help=f"streams that the readers lag on, {of_lagging}{sizes.lagging_streams}",
    )
    parser.add_argument("--readers", type=int, default=sizes.readers, metavar="N", help=f"{of_lagging}{sizes.readers}")
    parser.add_argument(
        "--seconds",
        type=float,
        default=sizes.seconds,
        metavar="S",
        help=f"length of a measurement of latency; default: {sizes.seconds:g}",
    )
    parsed = parser.parse_args(arguments)
    unknown = set(parsed.scenarios) - set(scenarios)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}: there are {', '.join(scenarios)}")
    parsed.scenarios = parsed.scenarios or scenarios
    return parsed


def _take(header: Sequence[str], measurements: Sequence[Measurement]) -> list[str]:
    """Measure, print a table, and return the broken bounds."""
    rows: list[tuple[str, ...]] = []
    broken: list[str] = []
    for name, measure in measurements:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            for measured in measure():
                rows.append(measured.row())
                broken += measured.broken()
                print(" | ".join(measured.row()), file=sys.stderr, flush=True)
        except (VerificationFailed, OSError) as failure:
            broken.append(f"{name}: {failure}")
    print(table(header, rows), end="\n\n", flush=True)
    return broken


def _attacked(name: str, sizes: Sizes) -> list[hostile.Measured]:
    return [hostile.measure(name, sizes)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parsed = _read_arguments(arguments)
    sizes = Sizes(parsed.streams, parsed.lagging_streams, parsed.readers, parsed.seconds)
    allow_connections(CONNECTIONS)
    begin = time.monotonic()
    print(
        f"# Clients that make others wait\n\nGateway on core {SERVER_CORE}, a bystander on core {LOAD_CORE}, all other"
        f" clients on core {OTHERS_CORE} with its idle time only. p99 and slowest: of the bystander's messages.\n"
    )
    broken: list[str] = []
    if MANY_STREAMS in parsed.scenarios:
        broken += _take(many_streams.HEADER, [(MANY_STREAMS, lambda: many_streams.measure(sizes))])
    if LAGGING_READERS in parsed.scenarios:
        broken += _take(lagging_readers.HEADER, [(LAGGING_READERS, lambda: [lagging_readers.measure(sizes)])])
    if HOSTILE in parsed.scenarios:
        attacks = [(name, partial(_attacked, name, sizes)) for name in parsed.attacks]
        broken += _take(hostile.HEADER, attacks)
    print(f"{time.monotonic() - begin:.0f} s; {len(broken)} bounds broken.")
    return concluded(broken)


if __name__ == "__main__":
    sys.exit(main())
