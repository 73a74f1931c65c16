"""Drift: a test by which a value that is watched has changed for good, and not by chance (Page and Hinkley)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

TOLERANCE: Final = 0.02
"""Distance from the mean that counts as chance, for values from 0 to 1."""
THRESHOLD: Final = 0.2
"""Sum of distances beyond it from which the value has changed: one large change, or many small ones to one side."""


@dataclass(slots=True)
class DriftTest:
    """Test of one value from 0 to 1. It begins anew behind each change."""

    count: int = 0
    """Values since the last change."""
    mean: float = 0.0
    """Mean of these."""
    above: float = 0.0
    """Sum by which they were above their mean, not below 0."""
    below: float = 0.0
    """The same of those below."""

    def add(self, value: float | None) -> bool:
        """Take a value, and return whether it shows a change; one that is not known, or no number, shows none."""
        if value is None or not math.isfinite(value):
            return False
        self.count += 1
        self.mean += (value - self.mean) / self.count
        self.above = max(0.0, self.above + value - self.mean - TOLERANCE)
        self.below = max(0.0, self.below + self.mean - value - TOLERANCE)
        if max(self.above, self.below) <= THRESHOLD:
            return False
        self.count, self.mean, self.above, self.below = 1, value, 0.0, 0.0
        return True
