"""Arrival model: rate, bursts and period of the messages of a stream, or of the joins of a workflow.

Arrivals at random (Poisson), in bursts, or at a period are told apart by their intervals. Arrivals close to each other
count as one burst, so that a burst every second is a period too. The model says when the next burst is to be expected,
and in how many of a hundred cases it would have been right so far.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[Any]

MIN_INTERVALS: Final = 8
"""Intervals without which nothing is said."""
MAX_ARRIVALS: Final = 512
"""Arrivals that are looked at, the last ones."""
BURST_PART: Final = 0.1
"""Intervals below this part of the mean one are within a burst, unless there are as many as chance makes."""
CHANCE_SHARE: Final = 0.35
"""Share of such intervals from which they are no chance: of random arrivals a tenth is so short."""
PERIODIC_SPREAD: Final = 0.25
"""Spread of the intervals, over their median, up to which they are a period."""
NEAR: Final = 0.25
"""Distance from a predicted interval, as a part of it, within which the prediction was right."""
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


@dataclass(frozen=True, slots=True)
class ArrivalModel:
    """Model of some arrivals."""

    kind: ArrivalKind
    """Kind of the arrivals."""
    rate_per_s: float
    """Number of arrivals a second, above 0."""
    interval_s: float
    """Time from the beginning of one burst to that of the next, above 0: the period, or the median."""
    burst: float
    """Mean number of arrivals in a burst, 1 or more."""
    burst_s: float
    """Mean time from the first to the last arrival of a burst."""
    confidence: float
    """Share of the intervals so far that were within a quarter of :attr:`interval_s`, or of a multiple where a period
    was left out; 0 to 1."""
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

    @property
    def words(self) -> str:
        """The arrivals as a sentence."""
        bursts = f"in bursts of {self.burst:.3g}" if self.burst >= 1.5 else "one by one"
        if self.kind is ArrivalKind.PERIODIC:
            return f"{bursts}, every {self.interval_s:.3g} s ({self.confidence:.0%} on time)"
        return f"{bursts}, at random, {self.rate_per_s:.3g} a second"


def fitted_arrivals(times_s: Iterable[float]) -> ArrivalModel | None:
    """Return the model of some arrivals; ``None``: there are too few to say anything.

    Args:
        times_s: times of a monotonic clock. Times that are no numbers, or earlier than one before, are left out: a
            clock that has jumped says nothing of the time between.
    """
    times = _sound(times_s)
    if len(times) <= MIN_INTERVALS:
        return None
    intervals = np.diff(times)
    mean_s = float(intervals.mean())
    if not mean_s > 0:
        return None
    begins, sizes, lengths_s = _bursts(times, intervals, mean_s)
    if len(begins) <= MIN_INTERVALS // 2:  # one burst, or a few
        begins, sizes, lengths_s = times, np.ones(len(times)), np.zeros(len(times))
    between = np.diff(begins)
    period_s = _period(between)
    interval_s = float(np.median(between)) if period_s is None else period_s
    burst = float(sizes.mean())
    if period_s is not None:
        kind = ArrivalKind.PERIODIC
    elif burst >= 1.5:
        kind = ArrivalKind.BURSTY
    else:
        kind = ArrivalKind.POISSON
    skipped = np.maximum(1.0, np.rint(between / interval_s)) if period_s is not None else 1.0
    right = np.abs(between / skipped - interval_s) <= NEAR * interval_s
    return ArrivalModel(
        kind, 1 / mean_s, interval_s, burst, float(lengths_s.mean()), float(right.mean()), float(begins[-1])
    )


def _sound(times_s: Iterable[float]) -> Times:
    """Return the last times that can be used, in their order."""
    kept: list[float] = []
    for time_s in times_s:
        if math.isfinite(time_s) and (not kept or time_s >= kept[-1]):
            kept.append(time_s)
        elif kept and math.isfinite(time_s):  # the clock has jumped back: begin anew
            kept = [time_s]
    return np.array(kept[-MAX_ARRIVALS:])


def _bursts(times: Times, intervals: Times, mean_s: float) -> tuple[Times, Times, Times]:
    """Return the beginnings of bursts, the number of arrivals in each, and the time from the first to the last."""
    within = intervals < BURST_PART * mean_s
    if within.mean() < CHANCE_SHARE:
        return times, np.ones(len(times)), np.zeros(len(times))
    starts = np.flatnonzero(np.concatenate([[True], ~within]))
    ends = np.concatenate([starts[1:], [len(times)]]) - 1
    return times[starts], ends - starts + 1, times[ends] - times[starts]


def _period(between: Times) -> float | None:
    """Return the period of some intervals, of which a few may be multiples; ``None``: they are not so regular."""
    median_s = float(np.median(between))
    if not median_s > 0:
        return None
    turns = np.rint(between / median_s)
    whole = (turns >= 1) & (turns <= LONGEST_SKIP)
    if whole.mean() < 1 - CHANCE_SHARE / 2:
        return None
    single = between[whole] / turns[whole]
    spread = float(np.median(np.abs(single - np.median(single)))) / median_s
    # The median distance of exponential intervals that are folded so is 0.3 of them and more.
    near = np.abs(single - median_s) <= NEAR * median_s
    if spread > PERIODIC_SPREAD / 2 or near.mean() < 0.75:
        return None
    return float(between[whole].sum() / turns[whole].sum())
