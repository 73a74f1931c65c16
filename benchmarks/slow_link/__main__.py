"""Program ``python -m benchmarks.slow_link``: measures a dashboard behind a slow line, and prints a markdown table.

Exit code 0: all bounds were kept; 1: one was broken, or a process failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.report import concluded, failing_in_words, table
from benchmarks.slow_link.slow_link import HEADER, OLDEST_S, RATIO, Sizes, measure


def _read_arguments(arguments: Sequence[str] | None) -> Sizes:
    sizes = Sizes()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow_link", description=__doc__)
    parser.add_argument("--others", type=int, default=sizes.others, help="dashboards over loopback")
    parser.add_argument("--mbit", type=float, default=sizes.bits_per_s / 1e6, help="rate of the slow line")
    parser.add_argument("--bytes", type=int, default=sizes.state_bytes, help="size of a state")
    parser.add_argument("--rate", type=float, default=sizes.states_per_s, help="states a second")
    parser.add_argument("--rounds", type=int, default=sizes.rounds)
    parser.add_argument("--seconds", type=float, default=sizes.seconds, help="length of each measurement")
    parser.add_argument("--settle", type=float, default=sizes.settle_s, help="seconds before the slow one is measured")
    parsed = parser.parse_args(arguments)
    bits_per_s = int(parsed.mbit * 1e6)
    return Sizes(
        parsed.others, bits_per_s, parsed.bytes, parsed.rate, parsed.rounds, parsed.seconds, settle_s=parsed.settle
    )


@failing_in_words
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    sizes = _read_arguments(arguments)
    print(
        f"# A slow line among fast ones\n\nAll dashboards watch one state of {sizes.state_bytes / 1024:g} KiB. p99: "
        f"from publishing to a dashboard over loopback, median of {sizes.rounds} rounds; at most {RATIO:g} times. "
        f"Oldest: greatest age of a state that the slow dashboard has shown; below {OLDEST_S:g} s.\n"
    )
    measured = measure(sizes)
    print(table(HEADER, [measured.row()]))
    broken = measured.broken()
    print(f"\n{len(broken)} bounds broken.")
    return concluded(broken)


if __name__ == "__main__":
    sys.exit(main())
