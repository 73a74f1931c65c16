"""Burstiness: variance of the messages of a stream in short times, over their mean."""

from __future__ import annotations

from typing import Final

WEIGHT: Final = 1 / 64
"""Weight of the last count; those of 3 s count at 20 in a second."""
LEAST_COUNTS: Final = 16
"""Counts without which nothing is said."""
HIGHEST: Final = 64.0
"""Highest burstiness that is told: one burst of 64 messages in so many counts."""


class Burstiness:
    """Burstiness of one stream, from counts of its messages in times of equal length, of which the last ones say most.

    It is 1 if messages come at random (Poisson), less at equal intervals, and about the size of a burst if they come in
    bursts: the factor by which messages wait longer than those at random (Kingman's approximation).
    """

    __slots__ = ("_counts", "_mean", "_variance")

    def __init__(self) -> None:
        self._counts = 0
        self._mean = 0.0
        self._variance = 0.0

    def add(self, count: int) -> None:
        """Take the number of messages in a time."""
        self._counts += 1
        weight = max(WEIGHT, 1 / self._counts)
        beyond = count - self._mean
        self._mean += weight * beyond
        self._variance = (1 - weight) * (self._variance + weight * beyond * beyond)

    @property
    def value(self) -> float | None:
        """The burstiness; ``None``: there were too few counts, or no messages."""
        if self._counts < LEAST_COUNTS or self._mean <= 0:
            return None
        return min(self._variance / self._mean, HIGHEST)
