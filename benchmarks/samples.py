"""What was measured: one number or several a round, their medians and ratios."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable

from benchmarks.processes import VerificationFailed

Result = dict[str, float]


class Samples:
    """Results by (what, of whom), one a round.

    Attributes:
        failures: what could not be verified. Whoever failed once at something is not asked for it again.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._results: dict[tuple[str, str], list[Result]] = {}
        self._failed: set[tuple[str, str]] = set()

    def take(self, what: str, whom: str, measure: Callable[[], Result], key: str) -> None:
        """Measure one round, and say on stderr what ``key`` is."""
        if (what, whom) in self._failed:
            return
        try:
            result = measure()
        except VerificationFailed as failure:
            self._failed.add((what, whom))
            self.failures.append(f"{what}, {whom}: {failure}")
            print(f"{what}, {whom}: {failure}", file=sys.stderr, flush=True)
        else:
            self._results.setdefault((what, whom), []).append(result)
            print(f"{what}, {whom}: {key} {result[key]:,.1f}", file=sys.stderr, flush=True)

    def state(self, what: str, whom: str) -> str:
        """``measured``, ``failed``, or empty if it was not tried."""
        if (what, whom) in self._failed:
            return "failed"
        return "measured" if (what, whom) in self._results else ""

    def all(self, what: str, whom: str, key: str) -> list[float]:
        """One number of every round; of what failed, nothing."""
        if (what, whom) in self._failed:
            return []
        return [result[key] for result in self._results.get((what, whom), ())]

    def median(self, what: str, whom: str, key: str) -> float:
        """The median of one number; NaN if it was not measured."""
        values = self.all(what, whom, key)
        return statistics.median(values) if values else float("nan")

    def ratio(self, what: str, whom: str, peer: str, key: str) -> float:
        """Median of ``whom`` over median of ``peer``."""
        return self.median(what, whom, key) / self.median(what, peer, key)
