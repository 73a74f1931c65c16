"""Guard: takes a decision back that costs more than the baseline, by costs of both in pairs (a one-sided CUSUM).

One pair that is unlike the others does not decide, and neither does noise: the sum at which a decision is taken back
grows with the noise of its pairs. Pure values; the caller passes the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

TOLERANCE: Final = 0.05
"""Logarithm of the ratio of both costs that counts as equal: some 5 %."""
THRESHOLD: Final = 0.5
"""Sum of what is above it at which the decision is taken back: four pairs that are 20 % worse."""
NOISE_FACTOR: Final = 5.0
"""The same sum, in standard deviations of the pairs, if that is more."""
MAX_DIFFERENCE: Final = 0.4
"""Largest difference of one pair, so that it takes two to take a decision back: 50 %."""
FIRST_NOISE: Final = 0.1
"""Standard deviation of the pairs until some are known."""
NOISE_WEIGHT: Final = 1 / 16
"""Share of the newest pair in the standard deviation."""
MEAN_WEIGHT: Final = 1 / 8
"""Share of the newest pair in the mean costs that are shown."""
FIRST_RECESS_S: Final = 60.0
LAST_RECESS_S: Final = 3600.0
"""Time for which a decision that was taken back is not tried again, which doubles up to this."""
PROVEN_PAIRS: Final = 32
"""Pairs after which a decision counts as proven: the recess behind it begins with the first one."""

_MEAN_TO_DEVIATION: Final = math.sqrt(math.pi) / 2
"""Factor from the mean distance of two successive values to their standard deviation, if these are normal."""


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """Verdict of the guard on a decision."""

    in_force: bool
    """Whether the decision is followed."""
    pairs: int
    """Pairs that were compared since it was tried."""
    measured_s: float | None
    """Mean cost of a payload by the decision; ``None``: no pair was compared."""
    baseline_s: float | None
    """The same by the baseline."""
    recess_s: float = 0.0
    """Time until a decision that was taken back is tried again."""

    @property
    def words(self) -> str:
        """The verdict as a sentence."""
        if self.measured_s is None or self.baseline_s is None:
            return "not compared with the baseline yet"
        percent = 100 * (self.measured_s / self.baseline_s - 1)
        pairs = "1 pair" if self.pairs == 1 else f"{self.pairs} pairs"
        compared = f"{abs(percent):.0f} % {'more' if percent > 0 else 'less'} than the baseline in {pairs} of blocks"
        if self.in_force:
            return f"holds: {compared}"
        return f"taken back: {compared}; tried again in {self.recess_s:.0f} s"


class Guard:
    """Guard of the decisions for one kind of receivers of a stream."""

    __slots__ = ("_baseline_s", "_last", "_measured_s", "_noise", "_pairs", "_recess_s", "_sum", "_until_s")

    def __init__(self) -> None:
        self._recess_s = FIRST_RECESS_S
        self._until_s = -math.inf
        self.begin()

    @property
    def threshold(self) -> float:
        """Sum at which the decision is taken back."""
        return max(THRESHOLD, NOISE_FACTOR * self._noise)

    def in_force(self, now_s: float) -> bool:
        """Return whether a decision may be followed at this monotonic time: there is no recess."""
        return now_s >= self._until_s

    def begin(self) -> None:
        """Begin anew with another decision; a recess goes on."""
        self._sum = 0.0
        self._noise = FIRST_NOISE
        self._pairs = 0
        self._last: float | None = None
        self._measured_s: float | None = None
        self._baseline_s: float | None = None

    def compare(self, measured_s: float, baseline_s: float, now_s: float) -> bool:
        """Take a pair, and return whether the decision is to be taken back: then its recess has begun.

        Args:
            measured_s: cost of a payload by the decision.
            baseline_s: cost of one by the baseline. A pair with a cost that is no number above 0 counts for nothing.
            now_s: a monotonic time.
        """
        if not (0 < measured_s < math.inf and 0 < baseline_s < math.inf):
            return False
        difference = min(max(math.log(measured_s) - math.log(baseline_s), -MAX_DIFFERENCE), MAX_DIFFERENCE)
        self._pairs += 1
        self._note(measured_s, baseline_s, difference)
        self._sum = max(0.0, self._sum + difference - TOLERANCE)
        if self._pairs == PROVEN_PAIRS:
            self._recess_s = FIRST_RECESS_S
        if self._sum <= self.threshold:
            return False
        self._until_s = now_s + self._recess_s
        self._recess_s = min(2 * self._recess_s, LAST_RECESS_S)
        self._sum = 0.0
        return True

    def verdict(self, now_s: float) -> GuardVerdict:
        """Return the verdict at a monotonic time."""
        left_s = max(0.0, self._until_s - now_s)
        return GuardVerdict(self.in_force(now_s), self._pairs, self._measured_s, self._baseline_s, left_s)

    def _note(self, measured_s: float, baseline_s: float, difference: float) -> None:
        """Note the costs of a pair, and its distance from the one before."""
        if self._last is None or self._measured_s is None or self._baseline_s is None:
            self._measured_s, self._baseline_s = measured_s, baseline_s
        else:
            distance = _MEAN_TO_DEVIATION * abs(difference - self._last)
            self._noise += (distance - self._noise) * NOISE_WEIGHT
            self._measured_s += (measured_s - self._measured_s) * MEAN_WEIGHT
            self._baseline_s += (baseline_s - self._baseline_s) * MEAN_WEIGHT
        self._last = difference
