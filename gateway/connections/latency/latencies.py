"""Latencies of deliveries that were sampled: their distribution since the start, and the newest ones by themselves."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

BOUNDS_S: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
"""Upper bounds of the buckets of the distribution."""

RECENT_S: Final = 10.0
"""Time whose samples the quantiles are of."""

MAX_RECENT: Final = 8192
"""Newest samples that are kept: fewer seconds than :data:`RECENT_S` where they come in faster than 819 a second."""


@dataclass(frozen=True, slots=True)
class LatencyStats:
    """Latencies of sampled deliveries."""

    p50_s: float
    """Median of the last seconds; NaN: nothing was sampled then."""
    p99_s: float
    samples: int
    """Samples since the start."""
    sum_s: float
    within: Mapping[str, int]
    """Samples since the start up to each of :data:`BOUNDS_S`, which is the key as text, and ``+Inf``."""


class Latencies:
    """Latencies of the deliveries that were sampled so far."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=MAX_RECENT)
        """Moment and latency of the newest samples."""

    def add(self, now_s: float, latency_s: float) -> None:
        """Take note of one delivery."""
        self._counts[bisect_left(BOUNDS_S, latency_s)] += 1
        self._sum_s += latency_s
        self._recent.append((now_s, latency_s))

    def since(self, moment_s: float) -> npt.NDArray[np.float64]:
        """Return the latencies that were sampled behind a moment, as far as they are kept."""
        newest = takewhile(lambda sample: sample[0] > moment_s, reversed(self._recent))
        return np.fromiter((latency_s for _, latency_s in newest), np.float64)

    def stats(self, now_s: float) -> LatencyStats:
        """Return the numbers of all samples, and the quantiles of those of the last :data:`RECENT_S`."""
        p50_s, p99_s = quantiles(self.since(now_s - RECENT_S), (0.5, 0.99))
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        within = MappingProxyType(dict(zip(bounds, accumulate(self._counts), strict=True)))
        return LatencyStats(p50_s, p99_s, within["+Inf"], self._sum_s, within)


def quantiles(values: npt.NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    """Return the values below which these shares of all are; NaN: there are none.

    Each is one of the values. ``np.quantile``, which puts some between them, takes 2 MB of code when first called.
    """
    if not values.size:
        return [math.nan] * len(shares)
    places = [min(values.size - 1, int(share * values.size)) for share in shares]
    return [float(each) for each in np.partition(values, places)[places]]
