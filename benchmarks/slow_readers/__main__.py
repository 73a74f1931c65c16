"""Program ``python -m benchmarks.slow_readers``: runs all cells of the matrix or some, and prints a markdown table.

Exit code 0: memory and latency stayed within their bounds in every cell; 1: a bound was broken, or a process failed.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.machine import describe
from benchmarks.processes import VerificationFailed
from benchmarks.report import concluded, table
from benchmarks.slow_readers.measure import Cell, Measured, measure
from benchmarks.slow_readers.plan import KINDS, QUEUE_BYTES, RATIO, READERS, SIZES, groups


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow_readers", description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    names = [size.name for size in SIZES]
    parser.add_argument("--sizes", nargs="+", choices=names, default=names, help="quoted, such as '64 KB'")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of latency for each cell; 0: memory only")
    parser.add_argument("--seconds", type=float, help="length of a round; default: 2, for the largest messages 4")
    return parser.parse_args()


def _rows(measured: Measured) -> list[tuple[str, ...]]:
    group, without = measured.group, measured.cells[0]
    return [(group.kind, group.size.name, *_texts(measured, cell, without)) for cell in measured.cells[1:]]


def _texts(measured: Measured, cell: Cell, without: Cell) -> tuple[str, ...]:
    flood = cell.flood
    assert flood is not None
    refused = flood.refused + sum(outcome.refused for outcome in cell.rounds)
    return (
        f"{cell.speed:g} x",
        f"{flood.published * measured.group.size.message_bytes / 1e6:.0f} MB",
        f"{refused}" if refused else "–",
        f"{cell.closed} of {READERS}" if cell.closed else "–",
        f"{cell.peak_bytes / 1e6:.0f} of {measured.bound_bytes / 1e6:.0f} MB",
        f"{without.p99_ms:.2f} to {cell.p99_ms:.2f} ms" if cell.rounds else "–",
        f"{measured.ratio(cell):.2f} x" if cell.rounds else "–",
    )


def main() -> int:
    """Measure, and return the exit code."""
    arguments = _read_arguments()
    begin = time.monotonic()
    print(f"# Slow readers\n\n{describe()}\n")
    print(
        f"{READERS} slow readers at a time, at a fraction of the publish rate; queues of {QUEUE_BYTES >> 20} MiB. "
        "Memory: the highest, and the allowed, while messages are published as fast as the gateway takes them. p99: "
        "publish to deliver of a fast reader's small messages, without and with slow readers, median of "
        f"{arguments.rounds} rounds at a moderate rate; at most {RATIO:g} x.\n"
    )
    rows: list[tuple[str, ...]] = []
    broken: list[str] = []
    sizes = tuple(size for size in SIZES if size.name in arguments.sizes)
    for group in groups(tuple(arguments.kinds), sizes):
        try:
            measured = measure(group, rounds=arguments.rounds, seconds=arguments.seconds)
        except VerificationFailed as failure:
            broken.append(f"{group.kind}, {group.size.name}: {failure}")
        else:
            rows += _rows(measured)
            broken += measured.broken(timed=arguments.rounds > 0)
    header = ("kind", "message", "readers", "flood", "refused", "closed", "memory", "p99", "ratio")
    print(table(header, rows))
    print(f"\n{len(rows)} cells in {time.monotonic() - begin:.0f} s; {len(broken)} bounds broken.")
    return concluded(broken)


if __name__ == "__main__":
    sys.exit(main())
