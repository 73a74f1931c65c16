"""Program ``python -m benchmarks.joins``: measures receivers that join a state in waves, and prints a markdown table.

Exit code 0: the time to the first version falls by a third with plans, on every line; 1: it does not, or a process
failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.joins.joins import KNOWN_WAVES, Sizes, measure, median_ms
from benchmarks.machine import describe
from benchmarks.report import concluded, failing_in_words, table

MOST: Final = 2 / 3
"""Time with plans over that without, at most."""

HEADER: Final = ("line", "without plans", "with plans", "ratio")


@failing_in_words
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    sizes = Sizes()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.joins", description=__doc__)
    parser.add_argument("--mbit", type=float, nargs="+", default=[rate / 1e6 for rate in sizes.bits_per_s])
    parser.add_argument("--joins", type=int, default=sizes.joins, help="receivers of a wave")
    parser.add_argument(
        "--waves", type=int, default=sizes.waves, help=f"waves, of which {KNOWN_WAVES} are not measured"
    )
    parser.add_argument("--period", type=float, default=sizes.period_s, help="seconds from one wave to the next")
    parsed = parser.parse_args(arguments)
    rates = tuple([int(mbit * 1e6) for mbit in parsed.mbit])
    sizes = Sizes(rates, parsed.joins, parsed.waves, parsed.period)
    print(
        f"# Receivers that join a state in waves\n\n{describe()}\n\n{sizes.joins} receivers every {sizes.period_s:g} s;"
        f" median time from SUBSCRIBE to the first whole version, of {sizes.waves - KNOWN_WAVES} waves.\n"
    )
    rows, broken = [], []
    for bits_per_s in sizes.bits_per_s:
        without, with_plans = [median_ms(measure(sizes, bits_per_s, plans=plans)) for plans in (False, True)]
        ratio = with_plans / without
        line = f"{bits_per_s / 1e6:g} Mbit/s"
        rows.append((line, f"{without:.0f} ms", f"{with_plans:.0f} ms", f"{ratio:.2f}"))
        if not ratio <= MOST:
            broken.append(f"{line}: {ratio:.2f} times the time without plans, more than {MOST:.2f}")
    print(table(HEADER, rows))
    return concluded(broken)


if __name__ == "__main__":
    sys.exit(main())
