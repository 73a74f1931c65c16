"""Program ``python -m benchmarks.optimizer``: choice of encodings by cost, on real arrays; prints markdown.

Exit code 0: all bars were reached; 1: one was not, or a process failed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.optimizer.array_streams import array_streams
from benchmarks.optimizer.choosing import LOAD, OTHER_RATES, TIER_RATES, Knowledge, compared, models_without_own_data
from benchmarks.optimizer.measuring import ALL, WITHOUT_PCO, Measured, measured_payloads
from benchmarks.optimizer.timed_links import Timed, timed_links
from benchmarks.report import Bar, bars_table, concluded, failing_in_words, table
from gateway.connections.link_tier import TIERS
from gateway.optimizer.learning.candidate_model import CandidateModel
from gateway.optimizer.learning.replay import BASELINE, LEARNED, ORACLE, Replayed

LEAST_BAR: Final = 5.0
"""Largest mean regret on streams and links that are known, in percent."""
OTHER_BAR: Final = 15.0
"""The same on data sets or links that are not."""
KEPT_OUT: Final = ", data set kept out"


@dataclass(frozen=True, slots=True)
class Result:
    """Cost of policies for some receivers and links."""

    title: str
    """Receivers, links, and knowledge of the streams."""
    regret_bar: float
    """Largest mean regret, in percent; NaN: there is no bar."""
    replayed: Replayed
    """The cost."""


def _results(measured: Sequence[Measured], seed: int, load: float) -> list[Result]:
    """Return the cost of policies with and without pco, on links and data sets that are known and that are not."""
    model_for, results = models_without_own_data(measured, seed), []
    for codecs, names in (("with pco", ALL), ("without pco", WITHOUT_PCO)):
        for links, rates in (("links of the tiers", TIER_RATES), ("other links", OTHER_RATES)):
            for knowledge in Knowledge:
                known = knowledge is Knowledge.TRIED
                models = (lambda each: None) if known else model_for
                found = compared(measured, names, rates, knowledge, models, load)
                title = f"{codecs}, {links}, {knowledge.value}{'' if known else KEPT_OUT}"
                results.append(Result(title, _regret_bar(knowledge, rates), found))
    return results


def _regret_bar(knowledge: Knowledge, rates: Sequence[float]) -> float:
    if knowledge is Knowledge.UNTRIED:
        return math.nan
    return LEAST_BAR if knowledge is Knowledge.TRIED and rates is TIER_RATES else OTHER_BAR


def _row(result: Result) -> tuple[str, ...]:
    found = result.replayed
    learned, best = found.policies[LEARNED], found.best_fixed
    savings = [f"{100 * found.saving(LEARNED, other):.1f} %" for other in (best, BASELINE)]
    return result.title, f"{100 * learned.mean_regret:.1f} %", f"{100 * learned.regret:.1f} %", best, *savings


def _tier_rows(result: Result) -> list[tuple[str, ...]]:
    """Return a line for each policy: its cost over that of the oracle, on each tier and altogether."""
    found = result.replayed
    rows = []
    for name in sorted(found.policies, key=lambda name: found.policies[name].cost_s):
        tiers = [found.tiers[name, tier.name] for tier in TIERS]
        rows.append((name, *[f"{1 + tally.regret:.2f}" for tally in (*tiers, found.policies[name])]))
    return rows


def _bars(results: Sequence[Result]) -> Iterator[Bar]:
    for result in results:
        found = result.replayed
        if not math.isnan(result.regret_bar):
            regret = 100 * found.policies[LEARNED].mean_regret
            yield Bar(f"mean regret, {result.title}", regret, result.regret_bar, "%", at_most=True)
        if result.regret_bar == LEAST_BAR:
            for other, limit in ((found.best_fixed, 25), (BASELINE, 10)):
                yield Bar(f"less than {other}, {result.title}", 100 * found.saving(LEARNED, other), limit, "%")


def _timed_row(timed: Timed) -> tuple[str, ...]:
    times = [
        f"{1e3 * computed_s:.1f} / {1e3 * took_s:.1f} ms" for computed_s, took_s in (timed.usual_s, timed.chosen_s)
    ]
    return timed.link, timed.stream, timed.usual, times[0], timed.chosen, times[1]


@failing_in_words
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimizer", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the payloads and of the models")
    parser.add_argument("--load", type=float, default=LOAD, help="part of the time that plain payloads take on a link")
    parser.add_argument("--no-links", action="store_true", help="send nothing over real links")
    parsed = parser.parse_args(arguments)
    streams = array_streams(parsed.seed)
    measured = list(measured_payloads(streams))
    sets = len({each.data_set for each in measured})
    print(f"# Encodings by cost\n\n{len(measured)} payloads of {len(streams)} streams and {sets} data sets.\n")
    results = _results(measured, parsed.seed, parsed.load)
    header = ("receivers and links", "mean regret", "regret", "best fixed", "less than it", "less than the baseline")
    print(table(header, map(_row, results)))
    print(f"\nCost over that of the {ORACLE}, {results[0].title}:\n")
    print(table(("policy", *[tier.name for tier in TIERS], "all"), _tier_rows(results[0])))
    bars = list(_bars(results))
    begin_s = time.perf_counter()
    model = CandidateModel.fitted([each.sampled for each in measured], parsed.seed)
    fit_s = time.perf_counter() - begin_s
    trials = 0 if model is None else model.trials
    bars.append(Bar(f"fit of the model to {trials} trials", fit_s, 0.2, "s", at_most=True))
    if not parsed.no_links:
        timed = list(timed_links(streams, measured))
        print("\nOver real links, computed / measured:\n")
        print(table(("link", "stream", "baseline", "time", "least cost", "time"), map(_timed_row, timed)))
        ratios = [took_s / computed_s for each in timed for computed_s, took_s in (each.usual_s, each.chosen_s)]
        bars.append(Bar("measured over computed time, median", statistics.median(ratios), 1.25, at_most=True))
        totals = [sum(times) for times in zip(*[(each.usual_s[1], each.chosen_s[1]) for each in timed], strict=True)]
        bars.append(Bar("less time than the baseline over real links", 100 * (1 - totals[1] / totals[0]), 10, "%"))
    print(f"\n{bars_table(bars)}\n")
    return concluded([f"{bar.what}: {bar.value:.3g} {bar.unit}" for bar in bars if not bar.passed])


if __name__ == "__main__":
    sys.exit(main())
