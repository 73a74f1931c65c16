"""Program ``python -m benchmarks.chunks``: compares sizes of the chunks of large messages, and prints a markdown table.

A publisher on this machine sends large messages, one after the other, to a receiver behind a line, which gets urgent
messages beside them. With ``--explored``, plans try larger chunks by themselves. Exit code 0: everything has arrived.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from benchmarks.chunks.chunks import Measured, measure
from benchmarks.chunks.explored import explore, row_of
from benchmarks.machine import describe
from benchmarks.report import concluded, failing_in_words, table

STANDING_KIB: Final = 512
SIZES_KIB: Final = (64, 128, 256, STANDING_KIB, 1024, 2048, 4096)
CONTENTS: Final = ("noise", "activations")
SECONDS: Final = 4.0
"""Time for which messages of one run are sent, about."""
FASTEST_BYTES_PER_S: Final = 400e6

EXPLORED: Final = (
    "content",
    "time before",
    "time behind the verdict",
    "ratio",
    "verdict",
    "effect until the last byte",
)
HEADER: Final = ("line", "content", "chunk", "time", "over 512 KiB", "urgent p50", "urgent p99", "CPU of the gateway")


def _count(bits_per_s: float, nbytes: int) -> int:
    """Return the number of messages of one run: five at least."""
    return max(5, min(60, int(SECONDS * (bits_per_s / 8 or FASTEST_BYTES_PER_S) / nbytes)))


def _row(line: str, content: str, kib: int, runs: Sequence[Measured], standing_s: float) -> tuple[str, ...]:
    took_s = statistics.median([each for run in runs for each in run.large_s])
    urgent_s = [each for run in runs for each in run.urgent_s]
    cpu_ms = statistics.median([run.cpu_s for run in runs]) * 1e3
    times = f"{took_s * 1e3:.1f} ms", f"{took_s / standing_s:.2f}"
    # Some lines are so fast that none came while a large message was under way.
    delays = [f"{np.percentile(urgent_s, part) * 1e3:.1f} ms" if urgent_s else "–" for part in (50, 99)]
    return line, content, f"{kib} KiB", *times, *delays, f"{cpu_ms:.1f} ms"


@failing_in_words
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chunks", description=__doc__)
    parser.add_argument("--mbit", type=float, nargs="+", default=[20, 200, 0], help="rates of lines; 0: this machine")
    parser.add_argument("--kib", type=int, nargs="+", default=SIZES_KIB, help="sizes of chunks")
    parser.add_argument("--message-mib", type=float, default=8.0, help="size of a large message")
    parser.add_argument("--content", nargs="+", choices=CONTENTS, default=CONTENTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--explored",
        type=float,
        metavar="SECONDS",
        help="let plans try larger chunks on this machine, and go on",
    )
    parsed = parser.parse_args(arguments)
    nbytes = int(parsed.message_mib * 1024 * 1024)
    sizes_kib = sorted({*parsed.kib, STANDING_KIB})
    print(f"# Chunks of messages of {parsed.message_mib:g} MiB\n\n{describe()}\n")
    if parsed.explored:
        content = CONTENTS[-1]  # noise is encoded by nobody
        print(table(EXPLORED, [row_of(explore(nbytes, parsed.explored, content), content)]))
        return concluded([])
    rows = []
    for mbit in parsed.mbit:
        for content in parsed.content:
            bits_per_s = int(mbit * 1e6)
            runs: dict[int, list[Measured]] = {kib: [] for kib in sizes_kib}
            for _ in range(parsed.rounds):
                for kib, found in runs.items():
                    found.append(measure(kib * 1024, bits_per_s, nbytes, _count(bits_per_s, nbytes), content))
            line = f"{mbit:g} Mbit/s" if mbit else "this machine"
            standing_s = statistics.median([each for run in runs[STANDING_KIB] for each in run.large_s])
            rows += [_row(line, content, kib, found, standing_s) for kib, found in runs.items()]
            print(f"{line}, {content}: measured", file=sys.stderr, flush=True)
    print(table(HEADER, rows))
    return concluded([])


if __name__ == "__main__":
    sys.exit(main())
