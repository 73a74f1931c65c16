"""Program ``python -m benchmarks.plans``: each scene with fixed settings and with plans, as a markdown table."""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time

from benchmarks.machine import describe
from benchmarks.plans.measure import Outcome, measure
from benchmarks.plans.scene import FIXED, SCENES, Scene
from benchmarks.processes import VerificationFailed
from benchmarks.report import concluded, table


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plans", description=__doc__)
    names = [scene.name for scene in SCENES]
    parser.add_argument("--scenes", nargs="+", choices=names, default=names)
    parser.add_argument("--settings", nargs="+", choices=[*FIXED, "plans"], help="default: all of each scene")
    parser.add_argument("--seconds", type=float, default=15.0, help="time that is measured")
    parser.add_argument("--warm", type=float, default=20.0, help="time before it, in which plans settle")
    parser.add_argument("--rounds", type=int, default=1, help="rounds, of which the medians count")
    parser.add_argument("--explain", action="store_true", help="print the adjustments of the plans")
    return parser.parse_args()


def _row(scene: Scene, name: str, outcome: Outcome, defaults: Outcome | None) -> tuple[str, ...]:
    def against(value: float, of: float | None) -> str:
        if math.isnan(value):
            return "–"
        return f"{value:.1f} ms" if of is None else f"{value:.1f} ms, {value / of:.2f} x"

    return (
        scene.name,
        name,
        against(outcome.age_ms, None if defaults is None else defaults.age_ms),
        against(outcome.late_ms, None if defaults is None else defaults.late_ms),
        against(outcome.worst_age_ms, None if defaults is None else defaults.worst_age_ms),
        f"{outcome.p50_ms:.1f} ms",
        against(outcome.p99_ms, None if defaults is None else defaults.p99_ms),
    )


def _median(outcomes: list[Outcome]) -> Outcome:
    """Return the medians of the rounds of one choice of settings."""
    ages, late, worst, p50, p99 = (
        statistics.median([getattr(outcome, name) for outcome in outcomes])
        for name in ("age_ms", "late_ms", "worst_age_ms", "p50_ms", "p99_ms")
    )
    return Outcome(ages, late, worst, p50, p99, outcomes[-1].report)


def main() -> int:
    """Measure, and return the exit code."""
    arguments = _read_arguments()
    begin = time.monotonic()
    print(f"# Plans\n\n{describe()}\n", flush=True)
    rows: list[tuple[str, ...]] = []
    failures: list[str] = []
    for scene in SCENES:
        if scene.name not in arguments.scenes:
            continue
        chosen = [name for name in (*scene.knobs, "plans") if name in (arguments.settings or (*FIXED, "plans"))]
        found: dict[str, list[Outcome]] = {name: [] for name in chosen}
        # Rounds alternate between the settings, so that a disturbance of the machine hits all of them.
        for name in chosen * arguments.rounds:
            fixed = FIXED.get(name, {})
            try:
                outcome = measure(scene, fixed, plans=name == "plans", warm_s=arguments.warm, seconds=arguments.seconds)
            except VerificationFailed as failure:
                failures.append(f"{name}: {failure}")
                continue
            found[name].append(outcome)
            print("  ".join(_row(scene, name, outcome, None)), file=sys.stderr, flush=True)
            if arguments.explain:
                print(*outcome.report["adjustments"], sep="\n", file=sys.stderr, flush=True)
        medians = {name: _median(outcomes) for name, outcomes in found.items() if outcomes}
        defaults = medians.get("defaults")
        rows += [_row(scene, name, each, None if name == "defaults" else defaults) for name, each in medians.items()]
    header = (
        "scene",
        "settings",
        "mean age of states",
        "of it late",
        "oldest receiver",
        "p50 of events",
        "p99 of events",
    )
    print(table(header, rows))
    print(f"\n{arguments.rounds} rounds in {time.monotonic() - begin:.0f} s")
    return concluded(failures)


if __name__ == "__main__":
    sys.exit(main())
