"""Rings: numbers over time in bounded memory, the newest finely and older ones more coarsely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

RESOLUTIONS: Final = ((1, 600), (10, 720), (60, 1440))
"""Seconds of each ring's samples, and their number: ten minutes, two hours, a day."""


class Sampled(NamedTuple):
    """Samples of a time, oldest first."""

    times_s: np.ndarray
    """Unix time of each sample, at the end of its interval."""
    values: np.ndarray
    """A row for each sample, with the columns of the rings; NaN where there is no number."""


class _Ring:
    """Newest samples of one resolution.

    Args:
        interval_s: time of a sample.
        size: samples that are kept.
        columns: numbers of a sample.
    """

    def __init__(self, interval_s: int, size: int, columns: int) -> None:
        self.interval_s = interval_s
        self._rows = np.full((size, 1 + columns), np.nan)
        self._count = 0

    def add(self, time_s: float, values: np.ndarray) -> None:
        row = self._rows[self._count % len(self._rows)]
        row[0], row[1:] = time_s, values
        self._count += 1

    def drop_from(self, time_s: float) -> None:
        """Drop the samples of a time and later ones."""
        while self._count and self._rows[(self._count - 1) % len(self._rows), 0] >= time_s:
            self._count -= 1
            self._rows[self._count % len(self._rows)] = np.nan

    def since(self, time_s: float) -> Sampled:
        start = self._count % len(self._rows) if self._count > len(self._rows) else 0
        rows = np.roll(self._rows, -start, axis=0)[: min(self._count, len(self._rows))]
        rows = rows[rows[:, 0] > time_s]
        return Sampled(rows[:, 0], rows[:, 1:])


class Rings:
    """Rings of several resolutions. A sample of a coarser ring is made of those of the finest that fall into it.

    Args:
        is_peak: for each column, whether a coarser sample has its largest value; else it has the mean.
    """

    def __init__(self, is_peak: Sequence[bool]) -> None:
        self._is_peak = np.array(is_peak)
        self._rings = {interval_s: _Ring(interval_s, size, len(is_peak)) for interval_s, size in RESOLUTIONS}
        self._last_s = -math.inf
        self._collected: dict[int, tuple[int, list[np.ndarray]]] = {}
        """Samples of the finest ring that the next sample of each coarser one is made of, with the number of its
        interval."""

    def add(self, time_s: float, values: Sequence[float]) -> None:
        """Take a sample.

        Args:
            time_s: Unix time. If the clock was set back, samples of the time that comes again are dropped: times rise.
            values: a number for each column; NaN: there is none.
        """
        if time_s <= self._last_s:
            for ring in self._rings.values():
                ring.drop_from(time_s)
            self._collected.clear()
        self._last_s = time_s
        finest, *coarser = self._rings.values()
        row = np.array(values, float)
        finest.add(time_s, row)
        for ring in coarser:
            number = math.floor(time_s / ring.interval_s)
            last, rows = self._collected.get(ring.interval_s, (number, []))
            if number != last:
                ring.add((last + 1) * ring.interval_s, self._joined(rows))
                rows = []
            rows.append(row)
            self._collected[ring.interval_s] = number, rows

    def since(self, time_s: float, interval_s: int) -> Sampled:
        """Return the samples of one resolution behind a Unix time.

        Args:
            time_s: samples of this time and before are left out.
            interval_s: one of :data:`RESOLUTIONS`.
        """
        return self._rings[interval_s].since(time_s)

    def _joined(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        stacked = np.array(rows)
        there = ~np.isnan(stacked)
        counts = there.sum(axis=0)
        means = np.where(there, stacked, 0.0).sum(axis=0) / np.maximum(counts, 1)
        peaks = np.where(there, stacked, -np.inf).max(axis=0)
        return np.where(counts == 0, np.nan, np.where(self._is_peak, peaks, means))
