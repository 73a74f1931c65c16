"""Join waves: joins of one stream that come together, and the time of the next wave, if waves keep a period.

Dashboards that are opened for each shift, agents that a scheduler starts every minute, and pages that poll come so.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

TOGETHER_S: Final = 1.0
"""Longest time from one join of a wave to the next."""
MAX_WAVES: Final = 9
"""Waves that are remembered."""
LEAST_INTERVALS: Final = 3
"""Times between waves from which a period is told."""
TOLERANCE: Final = 0.2
"""Share of the period by which each of these times may differ from their median."""
MISSED: Final = 2.0
"""Periods without a wave behind the last one after which none is expected any more."""


class Forecast(NamedTuple):
    """Next wave that is expected."""

    due_s: float
    """Time at which it is expected to begin."""
    period_s: float
    """Median of the times between waves."""
    spread_s: float
    """Largest distance of one of these times to their median."""
    joins: float
    """Mean number of joins of a wave."""


class JoinWaves:
    """Waves of joins of one stream.

    Attributes:
        last_s: time of the last join.
    """

    __slots__ = ("_begins_s", "_joins", "last_s")

    def __init__(self) -> None:
        self._begins_s: deque[float] = deque(maxlen=MAX_WAVES)
        self._joins: deque[int] = deque(maxlen=MAX_WAVES)
        self.last_s = -TOGETHER_S

    def add(self, now_s: float) -> None:
        """Add a join.

        Args:
            now_s: its time, by the clock that only goes forward.
        """
        if self._begins_s and now_s - self.last_s <= TOGETHER_S:
            self._joins[-1] += 1
        else:
            self._begins_s.append(now_s)
            self._joins.append(1)
        self.last_s = max(self.last_s, now_s)

    def forecast(self, now_s: float) -> Forecast | None:
        """Return the next wave; ``None``: waves keep no period that is known, or have ended."""
        begins_s = list(self._begins_s)
        intervals_s = [later - earlier for earlier, later in pairwise(begins_s)]
        intervals_s = intervals_s[-(MAX_WAVES // 2) :]  # a period that has changed shows soon
        if len(intervals_s) < LEAST_INTERVALS:
            return None
        period_s = median(intervals_s)
        spread_s = max([abs(interval_s - period_s) for interval_s in intervals_s])
        if spread_s > TOLERANCE * period_s:
            return None
        due_s = begins_s[-1] + period_s
        if now_s > due_s + (MISSED - 1) * period_s:
            return None
        return Forecast(due_s, period_s, spread_s, sum(self._joins) / len(self._joins))
