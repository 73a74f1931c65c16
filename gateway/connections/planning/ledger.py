"""Ledger: the last adjustments, each with the costs before and after, and the verdict."""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.connections.planning.cost import Cost
from gateway.connections.planning.knob import Site

MAX_ADJUSTMENTS: Final = 256
"""Adjustments that are remembered."""


class Verdict(enum.StrEnum):
    """Outcome of an adjustment."""

    KEPT = "kept"
    ROLLED_BACK = "rolled_back"
    VOID = "void"
    """The effect cannot be told: the site is gone, or something else changed meanwhile, again and again."""
    STANDING = "standing"
    """The setting is in force, or has ended, as it was called for: no cost shows its effect."""


class Adjustment(NamedTuple):
    """One change of a setting, and its outcome."""

    number: int
    site: Site
    before: float
    value: float
    begun_s: float
    """Time of the change, by the clock of the gateway that only goes forward."""
    judged_s: float
    reason: str
    """Values that called for it, in words."""
    cost_before: Cost
    cost_after: Cost
    verdict: Verdict
    words: str
    """Effect, in words."""
    scope: str = ""
    """Workflow whose deliveries it changed."""


class Ledger:
    """The last adjustments, and counts of all."""

    def __init__(self) -> None:
        self._adjustments: deque[Adjustment] = deque(maxlen=MAX_ADJUSTMENTS)
        self._counts: Counter[Verdict] = Counter()

    def __iter__(self) -> Iterator[Adjustment]:
        """Yield the adjustments that are remembered, the oldest first."""
        return iter(list(self._adjustments))

    def __len__(self) -> int:
        return len(self._adjustments)

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """Numbers of all adjustments so far, by verdict."""
        return MappingProxyType({verdict: self._counts[verdict] for verdict in Verdict})

    def enter(self, adjustment: Adjustment) -> None:
        """Enter an adjustment that has its verdict."""
        self._adjustments.append(adjustment)
        self._counts[adjustment.verdict] += 1
