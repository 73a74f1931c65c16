"""Lag of the event loop, as the server measures it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

STANDING: Final = 3
"""Measurements in a row that a lag must show in: a single one may be of one long step, or of a suspended machine."""


class LoopLag:
    """Last measurements of the lag.

    Attributes:
        observers: functions that take each measurement, in seconds.
    """

    def __init__(self) -> None:
        self.observers: list[Callable[[float], object]] = []
        self._last = deque([0.0] * STANDING, maxlen=STANDING)

    @property
    def standing_s(self) -> float:
        """Smallest of the last :data:`STANDING` measurements."""
        return min(self._last)

    def observe(self, lag_s: float) -> None:
        """Take a measurement."""
        self._last.append(lag_s)
        for observer in self.observers:
            observer(lag_s)
