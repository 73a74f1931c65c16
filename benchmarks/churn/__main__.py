"""Program ``python -m benchmarks.churn``: connections that come and go, and prints what they cost as a markdown table.

Exit code 0: all bounds were kept; 1: one was broken, or a process failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.churn import churn
from benchmarks.machine import LOAD_CORE
from benchmarks.report import concluded, failing_in_words, table
from benchmarks.servers import SERVER_CORE

CONNECTIONS: Final = 10_000
SHARE: Final = 0.2
SECONDS: Final = 120.0


@failing_in_words
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.churn", description=__doc__)
    parser.add_argument("--connections", type=int, default=CONNECTIONS, metavar="N", help=f"default: {CONNECTIONS}")
    parser.add_argument(
        "--share",
        type=float,
        default=SHARE,
        metavar="S",
        help=f"part of them that comes and goes each second; default: {SHARE:g}",
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help=f"default: {SECONDS:g}")
    parsed = parser.parse_args(arguments)
    print(
        f"# Connections that come and go\n\nGateway on core {SERVER_CORE}; clients, probe and witness on core"
        f" {LOAD_CORE}; loopback. Every client is a member of one workflow.\n",
        flush=True,
    )
    measured = churn.measure(parsed.connections, parsed.share, parsed.seconds)
    print(table(churn.HEADER, [measured.row()]), end="\n\n")
    if measured.limit:
        wanted = parsed.share * parsed.connections
        print(f"Of {wanted:.0f} that come and go a second {measured.rate_per_s:.0f}: {measured.limit}.")
    return concluded(measured.broken())


if __name__ == "__main__":
    sys.exit(main())
