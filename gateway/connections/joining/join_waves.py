"""Join waves: joins of one stream that come together, and the next wave that is expected, if waves keep a period.

Dashboards that are opened for each shift, agents that a scheduler starts every minute, and pages that poll come so.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.connections.arrivals import ArrivalKind, ArrivalModel, Bursts

TOGETHER_S: Final = 1.0
"""Longest time from one join of a wave to the next."""
MAX_WAVES: Final = 5
"""Waves that are remembered: a period that has changed shows soon."""
TOLERANCE: Final = 0.2
"""Share of the period by which each time between two waves may differ from it, or from its multiple."""
MISSED: Final = 2.0
"""Periods without a wave behind the last one after which none is expected any more."""


class ExpectedWave(NamedTuple):
    """Next wave that is expected."""

    begin_s: float
    """Time from which it may come."""
    end_s: float
    """Time until which it may."""
    arrivals: ArrivalModel
    """Model of the waves."""


class JoinWaves(Bursts):
    """Waves of joins of one stream."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(TOGETHER_S, MAX_WAVES)

    def expected(self, now_s: float) -> ExpectedWave | None:
        """Return the next wave; ``None``: waves keep no period that is known, or have ended.

        Args:
            now_s: time of the clock by which joins were added.
        """
        model = self.model()
        if model is None or model.kind is not ArrivalKind.PERIODIC or now_s > model.last_s + MISSED * model.interval_s:
            return None
        if model.spread_s > TOLERANCE * model.interval_s:
            return None
        # One that is late by no more than others were is still to come.
        due_s = model.next_s(max(now_s - model.spread_s - TOGETHER_S, model.last_s))
        return ExpectedWave(due_s - model.spread_s, due_s + model.spread_s + TOGETHER_S, model)
