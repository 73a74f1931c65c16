"""Arrivals: rate, bursts and period of what comes, such as the messages of a stream or the receivers that join it.

Arrivals at random (Poisson), in bursts, or at a period are told apart by their intervals. Arrivals close to each other
are one burst, so that a burst every second is a period too. The model says when the next burst is to be expected, and
in how many of a hundred cases that would have been right so far; and how many writes a flush window would leave.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Final, NamedTuple

LEAST_INTERVALS: Final = 3
"""Intervals between bursts without which nothing is said."""
MIN_INTERVALS: Final = 8
"""The same between arrivals of which it is not known how long a burst may take."""
MAX_ARRIVALS: Final = 512
"""Arrivals that are looked at, the last ones."""
BURST_PART: Final = 0.3
"""Intervals below this part of the mean one are within a burst, unless there are as many as chance makes."""
CHANCE_SHARE: Final = 0.45
"""Share of such intervals from which they are no chance: of random arrivals a quarter is so short."""
NEAR: Final = 0.25
"""Distance from a predicted interval, as a part of it, within which the prediction was right."""
PERIODIC_SHARE: Final = 0.75
"""Share of right predictions from which arrivals keep a period. By chance a half of them is right."""
LONGEST_SKIP: Final = 8
"""Periods that may be left out between two bursts."""


class ArrivalKind(enum.Enum):
    """Kind of arrivals."""

    POISSON = "poisson"
    """One by one, at random."""
    BURSTY = "bursty"
    """Several at once, at random."""
    PERIODIC = "periodic"
    """One or several at once, at equal intervals."""


class Burst(NamedTuple):
    """Arrivals close to each other."""

    begin_s: float
    end_s: float
    """Time of the last one."""
    arrivals: int


@dataclass(frozen=True, slots=True)
class ArrivalModel:
    """Model of some arrivals."""

    kind: ArrivalKind
    """Kind of the arrivals."""
    rate_per_s: float
    """Number of arrivals a second, above 0."""
    interval_s: float
    """Time from the beginning of one burst to that of the next, above 0: the period, or the median."""
    spread_s: float
    """Largest distance of such a time from :attr:`interval_s`, or from its multiple where a period was left out."""
    burst: float
    """Mean number of arrivals in a burst, 1 or more."""
    burst_s: float
    """Mean time from the first to the last arrival of a burst."""
    confidence: float
    """Share of these times that were near to that interval or multiple, 0 to 1."""
    last_s: float
    """Time at which the last burst began."""

    def next_s(self, now_s: float) -> float:
        """Return the time at which the next burst is to be expected, not before ``now_s``.

        Args:
            now_s: time of the same clock as the arrivals. If that has jumped back, one interval from it.
        """
        if not now_s > self.last_s:
            return now_s + self.interval_s
        if self.kind is ArrivalKind.PERIODIC:
            periods = math.ceil((now_s - self.last_s) / self.interval_s)
            return max(now_s, self.last_s + periods * self.interval_s)
        # Arrivals at random do not come sooner because none has come for a while.
        return now_s + self.interval_s

    def writes_per_s(self, window_s: float) -> float:
        """Return the number of writes a second, if all that arrives within a window from the first arrival on is one.

        Args:
            window_s: length of the window; 0: each arrival is a write.
        """
        if not window_s:
            return self.rate_per_s
        bursts_per_s = self.rate_per_s / self.burst
        others = window_s // self.interval_s if self.kind is ArrivalKind.PERIODIC else window_s * bursts_per_s
        writes_a_burst = min(self.burst, max(1.0, self.burst_s / window_s))
        return bursts_per_s * writes_a_burst / (1 + others)

    @property
    def words(self) -> str:
        """The arrivals as a sentence."""
        bursts = f"in bursts of {self.burst:.3g}" if self.burst >= 1.5 else "one by one"
        if self.kind is ArrivalKind.PERIODIC:
            return f"{bursts}, every {self.interval_s:.3g} s ({self.confidence:.0%} on time)"
        return f"{bursts}, at random, {self.rate_per_s:.3g} a second"


class Bursts:
    """Bursts of arrivals of which it is known how far those of one burst are from each other.

    Args:
        together_s: longest time from one arrival of a burst to the next.
        most: bursts that are remembered, the last ones.
    """

    __slots__ = ("_bursts", "_together_s")

    def __init__(self, together_s: float, most: int) -> None:
        self._together_s = together_s
        self._bursts: deque[Burst] = deque(maxlen=most)

    @property
    def last_s(self) -> float:
        """Time of the last arrival; long ago if there is none."""
        return self._bursts[-1].end_s if self._bursts else -math.inf

    def add(self, now_s: float) -> None:
        """Add an arrival; one before the last says that the clock has jumped, and all begins anew."""
        if now_s < self.last_s:
            self._bursts.clear()
        if now_s - self.last_s <= self._together_s:
            last = self._bursts[-1]
            self._bursts[-1] = Burst(last.begin_s, now_s, last.arrivals + 1)
        else:
            self._bursts.append(Burst(now_s, now_s, 1))

    def model(self) -> ArrivalModel | None:
        """Return the model of the bursts; ``None``: there are too few to say anything."""
        return _model_of(self._bursts)


def fitted_arrivals(times_s: Iterable[float]) -> ArrivalModel | None:
    """Return the model of some arrivals; ``None``: there are too few to say anything.

    Args:
        times_s: times of a monotonic clock. Times that are no numbers, or earlier than one before, are left out: a
            clock that has jumped says nothing of the time between.
    """
    times_s = _sound(times_s)
    if len(times_s) <= MIN_INTERVALS or not times_s[-1] > times_s[0]:
        return None
    singles = [Burst(time_s, time_s, 1) for time_s in times_s]
    together_s = BURST_PART * (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    within = [later - earlier < together_s for earlier, later in pairwise(times_s)]
    if fmean(within) < CHANCE_SHARE:
        return _model_of(singles)
    bursts: list[Burst] = singles[:1]
    for time_s, is_within in zip(times_s[1:], within, strict=True):
        if is_within:
            bursts[-1] = Burst(bursts[-1].begin_s, time_s, bursts[-1].arrivals + 1)
        else:
            bursts.append(Burst(time_s, time_s, 1))
    return _model_of(bursts if len(bursts) > MIN_INTERVALS // 2 else singles)


def _sound(times_s: Iterable[float]) -> list[float]:
    """Return the last times that can be used, in their order."""
    kept: list[float] = []
    for time_s in times_s:
        if math.isfinite(time_s):
            if kept and time_s < kept[-1]:
                kept.clear()  # the clock has jumped back: begin anew
            kept.append(time_s)
    return kept[-MAX_ARRIVALS:]


def _model_of(bursts: Sequence[Burst]) -> ArrivalModel | None:
    between_s = [later.begin_s - earlier.begin_s for earlier, later in pairwise(bursts)]
    if len(between_s) < LEAST_INTERVALS or not median(between_s) > 0:
        return None
    count = sum([each.arrivals for each in bursts])
    burst = count / len(bursts)
    period_s = _period_of(between_s)
    if period_s is not None:
        kind = ArrivalKind.PERIODIC
    elif burst >= 1.5:
        kind = ArrivalKind.BURSTY
    else:
        kind = ArrivalKind.POISSON
    interval_s = median(between_s) if period_s is None else period_s
    late_s = [each - (1 if period_s is None else _turns(each, interval_s)) * interval_s for each in between_s]
    return ArrivalModel(
        kind,
        rate_per_s=(count - 1) / (bursts[-1].end_s - bursts[0].begin_s),
        interval_s=interval_s,
        spread_s=max(map(abs, late_s)),
        burst=burst,
        burst_s=fmean([each.end_s - each.begin_s for each in bursts]),
        confidence=fmean([abs(each) <= NEAR * interval_s for each in late_s]),
        last_s=bursts[-1].begin_s,
    )


def _turns(interval_s: float, period_s: float) -> int:
    """Return the number of periods of an interval, at least one."""
    return max(1, round(interval_s / period_s))


def _period_of(between_s: Sequence[float]) -> float | None:
    """Return the period of some intervals, of which a few may be multiples; ``None``: they are not so regular."""
    median_s = median(between_s)
    turns = [_turns(each, median_s) for each in between_s]
    near = [
        (each, periods)
        for each, periods in zip(between_s, turns, strict=True)
        if periods <= LONGEST_SKIP and abs(each - periods * median_s) <= NEAR * median_s
    ]
    if len(near) < PERIODIC_SHARE * len(between_s):
        return None
    return sum([each for each, _ in near]) / sum([periods for _, periods in near])
