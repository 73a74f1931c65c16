"""Program ``python -m benchmarks.bit_shuffle``: images by chains with and without a bit shuffle, decoded in JavaScript.

Prints markdown. Needs Node and ``node_modules`` of the JavaScript client, which ``make js`` installs.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from benchmarks.bit_shuffle.images import images, pixel_differences
from benchmarks.bit_shuffle.node import started_node
from benchmarks.bit_shuffle.outcomes import BITS, BYTES, CHAINS, FILTERS, NO_FILTER, Outcome, outcomes
from benchmarks.report import failing_in_words, table
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, encode

RATES_MBIT_PER_S: Final = (2, 20, 200)
"""Rates of links."""
SHOWN: Final = "zstd:1"
"""Chain behind which the speed of a bit shuffle is shown: it does not depend on it."""

Outcomes = Mapping[tuple[str, str], Outcome]
"""Outcomes of one image, by filter and chain."""


@failing_in_words
def main() -> int:
    """Measure, and print what came out."""
    argparse.ArgumentParser(prog="python -m benchmarks.bit_shuffle", description=__doc__).parse_args()
    ratios, speeds, times = [], [], []
    saved: dict[int, list[float]] = {rate: [] for rate in RATES_MBIT_PER_S}
    with started_node() as node:
        for name, image in images():
            by = {(each.filter, each.chain): each for each in outcomes(node, image)}
            differences = encode(Chain.parse("zstd:3"), pixel_differences(image), BYTE)
            assert differences is not None
            ratios.append((name, *_ratios(by, image.nbytes), f"{image.nbytes / len(differences[1]):.2f}"))
            speeds.append((name, *_speeds(by, image.nbytes)))
            row = [name]
            for rate in RATES_MBIT_PER_S:
                today, both = _best(by, rate, (NO_FILTER, BYTES)), _best(by, rate, FILTERS)
                saved[rate].append(1 - both[1] / today[1])
                row += [_cell(*today), _cell(*both), f"{saved[rate][-1]:.0%}"]
            times.append(row)
    print("Bytes of the image over bytes sent: without a filter / bytes shuffled / bits shuffled\n")
    print(table(("image", *map(str, CHAINS), "pixel differences, zstd:3"), ratios))
    print("\nMB/s of one thread: bits shuffled by numpy, put back by JavaScript, and decompression by JavaScript\n")
    print(table(("image", "shuffled", "put back", "lz4", "zstd:1"), speeds))
    print(
        "\nms until a receiver in JavaScript has the image: best chain of today, best one with a bit shuffle, saved\n"
    )
    links = [f"{rate} Mbit/s" for rate in RATES_MBIT_PER_S]
    print(table(("image", *[each for link in links for each in (link, "with bits", "saved")]), times))
    print()
    for rate, shares in saved.items():
        mean, median = statistics.mean(shares), statistics.median(shares)
        print(f"- {rate} Mbit/s: mean {mean:.1%}, median {median:.1%}, most {max(shares):.1%} saved")
    return 0


def _ratios(by: Outcomes, size: int) -> Iterator[str]:
    for chain in map(str, CHAINS):
        found = [by.get((kind, chain)) for kind in FILTERS]
        yield " / ".join([f"{size / each.sent_bytes:.2f}" if each else "–" for each in found])


def _speeds(by: Outcomes, size: int) -> Iterator[str]:
    shuffled = by[BITS, SHOWN]
    decoded = [by[NO_FILTER, chain].decode_s for chain in ("lz4", SHOWN)]
    for seconds in (shuffled.shuffle_s, shuffled.unshuffle_s, *decoded):
        yield f"{size / seconds / 1e6:.0f}"


def _best(by: Outcomes, rate_mbit_per_s: float, filters: Sequence[str]) -> tuple[str, float]:
    """Return the name of the outcome by which a receiver has the image soonest, and the seconds until then."""
    bytes_per_s = rate_mbit_per_s * 1e6 / 8
    found = [(each.name, each.usable_s(bytes_per_s)) for each in by.values() if each.filter in filters]
    return min(found, key=lambda each: each[1])


def _cell(name: str, seconds: float) -> str:
    return f"{name} {1e3 * seconds:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
