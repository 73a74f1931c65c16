"""CPU budget: trials that a worker may do now so that it takes a share of a core, and no more, in the long run."""

from __future__ import annotations

from typing import Final

BURST_S: Final = 2.0
"""Time whose share may be spent at once, if nothing was spent before."""
FIRST_TRIAL_S: Final = 0.02
"""CPU time that a trial is taken to need until some have been made."""
WEIGHT: Final = 1 / 8
"""Share of the newest trial in the mean."""


class CpuBudget:
    """Budget of one worker.

    Args:
        share: share of a core.
        now_s: a monotonic time.

    Attributes:
        share: the same.
        spent_s: CPU time of all trials.
    """

    def __init__(self, share: float, now_s: float) -> None:
        self.share = share
        self.spent_s = 0.0
        self._left_s = 0.0
        self._trial_s = FIRST_TRIAL_S
        self._now_s = now_s

    def trials_at(self, now_s: float, under_way: int) -> int:
        """Return how many trials may begin.

        Args:
            now_s: a monotonic time.
            under_way: trials that have begun and are not spent yet.
        """
        earned_s = self.share * max(0.0, now_s - self._now_s)
        self._now_s = now_s
        self._left_s = min(self._left_s + earned_s, self.share * BURST_S)
        # The last one may overdraw: else one that takes more than a burst would never begin.
        left = max(0, -int(-self._left_s // self._trial_s)) if self._left_s > 0 else 0
        return max(0, left - under_way)

    @property
    def may_borrow(self) -> bool:
        """True if a trial may begin that cannot wait: what was borrowed before is no more than a burst."""
        return self._left_s > -self.share * BURST_S

    @property
    def longest_s(self) -> float:
        """CPU time after which a trial tries no further chain: what was saved for a burst."""
        return max(FIRST_TRIAL_S, self.share * BURST_S)

    def spend(self, cpu_s: float) -> None:
        """Take the CPU time of a trial, also of one that began without the budget."""
        self.spent_s += cpu_s
        self._left_s -= cpu_s
        self._trial_s += (cpu_s - self._trial_s) * WEIGHT
