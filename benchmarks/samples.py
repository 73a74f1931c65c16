"""Samples: the results of all rounds, their medians and ratios."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable

from benchmarks.processes import VerificationFailed

Result = dict[str, float]


class Samples:
    """Results by scenario (``what``) and server (``whom``), one a round.

    Attributes:
        failures: measurements that could not be verified. A failed measurement is not repeated.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._results: dict[tuple[str, str], list[Result]] = {}
        self._failed: set[tuple[str, str]] = set()

    def take(self, what: str, whom: str, measure: Callable[[], Result], key: str) -> None:
        """Measure one round, and print the value of ``key`` on stderr."""
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
        """Return ``measured``, ``failed``, or an empty string if it was not run."""
        if (what, whom) in self._failed:
            return "failed"
        return "measured" if (what, whom) in self._results else ""

    def all(self, what: str, whom: str, key: str) -> list[float]:
        """Return one number of every round; empty for a failed measurement."""
        if (what, whom) in self._failed:
            return []
        return [result[key] for result in self._results.get((what, whom), ())]

    def median(self, what: str, whom: str, key: str) -> float:
        """Return the median of one number; NaN if it was not measured."""
        values = self.all(what, whom, key)
        return statistics.median(values) if values else float("nan")

    def ratio(self, what: str, whom: str, peer: str, key: str) -> float:
        """Return the median of ``whom`` divided by the median of ``peer``."""
        return self.median(what, whom, key) / self.median(what, peer, key)
