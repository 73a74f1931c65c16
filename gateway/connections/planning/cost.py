"""Cost of a setting at a site: seconds that messages wait, as measured several times, and how much these differ."""

from __future__ import annotations

from math import sqrt
from typing import Final, NamedTuple

MEMORY: Final = 24
"""Measurements that a running mean remembers, about."""

LEAST_EFFECT: Final = 0.1
"""Part of the cost that a change has to save: what saves less is not worth a setting."""

LEAST_EFFECT_S: Final = 0.0005
"""The same in seconds."""

CERTAIN: Final = 3.0
"""Standard errors by which two means differ, at least: in noise, one of some hundred pairs does."""


class Cost(NamedTuple):
    """Mean of measurements, in seconds; lower is better."""

    mean_s: float = 0.0
    variance: float = 0.0
    number: int = 0

    def add(self, cost_s: float) -> Cost:
        """Return the cost with one more measurement; of many, the old ones are forgotten bit by bit."""
        number = min(self.number + 1, MEMORY)
        difference = cost_s - self.mean_s
        mean_s = self.mean_s + difference / number
        variance = (1 - 1 / number) * (self.variance + difference * difference / number) if self.number else 0.0
        return Cost(mean_s, variance, number)

    def saves(self, before: Cost) -> bool:
        """Return whether this cost is lower than another one, clearly."""
        return before.mean_s - self.mean_s > _least(before, self)

    def exceeds(self, before: Cost) -> bool:
        """Return whether this cost is higher than another one, clearly."""
        return self.mean_s - before.mean_s > _least(before, self)

    def __str__(self) -> str:
        return f"{self.mean_s * 1e3:.1f} ms"


NO_COST: Final = Cost()
"""Cost before the first measurement."""


def _least(first: Cost, second: Cost) -> float:
    """Return the difference of two means that is neither noise nor of no use."""
    error = sqrt(sum([each.variance / each.number for each in (first, second) if each.number]))
    return max(LEAST_EFFECT * first.mean_s, LEAST_EFFECT_S, CERTAIN * error)
