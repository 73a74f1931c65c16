"""Program ``python -m benchmarks.scale``: opens idle connections, and prints what they cost as a markdown table.

Exit code 0: all bounds were kept; 1: one was broken, or a process failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.machine import LOAD_CORE
from benchmarks.report import concluded, failing_in_words, table
from benchmarks.scale import scale
from benchmarks.servers import SERVER_CORE

SECONDS: Final = 60.0
"""Three heartbeat intervals."""


@failing_in_words
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--connections", type=int, default=scale.FULL, metavar="N", help=f"default: {scale.FULL}")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S", help=f"time that they are watched; default: {SECONDS:g}"
    )
    parsed = parser.parse_args(arguments)
    print(f"# Idle connections\n\nGateway on core {SERVER_CORE}, clients on core {LOAD_CORE}, loopback.\n", flush=True)
    measured = scale.measure(parsed.connections, parsed.seconds)
    print(table(scale.HEADER, [measured.row()]), end="\n\n")
    if measured.connections < parsed.connections:
        print(f"{measured.connections:,} of {parsed.connections:,} connections: {measured.limit}.")
    return concluded(measured.broken())


if __name__ == "__main__":
    sys.exit(main())
