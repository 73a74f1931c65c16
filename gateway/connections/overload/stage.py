"""Stages of overload: pure functions from measurements to the stage of the gateway.

A stage is reached at once, whatever the stage before. It is left for the one below it only, once the pressure has been
lower for :data:`FALL_S` than what keeps the stage, which is less than what leads to it. Therefore a pressure that
stays, or varies by less than this difference, changes the stage once at most, and any pressure twice in :data:`FALL_S`
in the long run.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.connections.overload.pressure import Pressure

FALL_S: Final = 5.0
"""Time for which the pressure must be low before the next lower stage is entered."""


class Stage(enum.IntEnum):
    """Set of measures against overload; a higher stage has those of all lower ones."""

    NORMAL = 0
    """No measure is taken."""
    CONFLATE = 1
    """Less waits for receivers that do not keep up, and publishers wait for them for a shorter time."""
    LOWER_VIEWS = 2
    """Views and states reach dashboards less often."""
    REFUSE_DASHBOARDS = 3
    """New dashboards are refused."""
    SHED = 4
    """Connections with the longest queues are closed."""

    @property
    def label(self) -> str:
        """Name for people and metrics."""
        return self.name.lower()


class Bound(NamedTuple):
    """Two values of a measurement, for one stage."""

    rise: float
    """Value at which the stage is entered."""
    keep: float
    """Value below which the stage may be left."""


class Term(NamedTuple):
    """One measurement, and the stages that it leads to."""

    of: Callable[[Pressure], float]
    """Function that returns the measurement."""
    bounds: tuple[Bound, Bound, Bound, Bound]
    """Bounds of the stages above :attr:`Stage.NORMAL`, in their order."""
    words: Callable[[Pressure], str]
    """Function that returns the measurement in words."""


_NEVER: Final = Bound(math.inf, math.inf)

OF_TIME: Final = (
    Term(
        lambda pressure: pressure.loop_lag_s,
        (Bound(0.03, 0.015), Bound(0.06, 0.03), Bound(0.12, 0.06), Bound(0.25, 0.12)),
        lambda pressure: f"the event loop lags by {pressure.loop_lag_s * 1000:.0f} ms",
    ),
)
"""Measurements of the loop's time. Below a lag of 30 ms nobody notices it; above 100 ms control messages are late."""

OF_MEMORY: Final = (
    Term(
        lambda pressure: pressure.memory_share,
        (Bound(0.7, 0.65), Bound(0.8, 0.75), Bound(0.87, 0.82), Bound(0.92, 0.88)),
        lambda pressure: (
            f"{_megabytes(pressure.resident_bytes)} of memory are resident,"
            f" and the limit is {_megabytes(pressure.memory_limit_bytes)}"
        ),
    ),
    # Bytes for several receivers are in memory once, and count for each: they cost nobody the connection.
    Term(
        lambda pressure: pressure.queued_share,
        (Bound(0.5, 0.35), Bound(1.0, 0.7), _NEVER, _NEVER),
        lambda pressure: (
            f"{_megabytes(pressure.queued_bytes)} wait in queues,"
            f" and the memory limit is {_megabytes(pressure.memory_limit_bytes)}"
        ),
    ),
)
"""Measurements of memory."""

TERMS: Final = OF_TIME + OF_MEMORY
"""All measurements."""


def led_to(pressure: Pressure, terms: Sequence[Term] = TERMS) -> Stage:
    """Return the highest stage that a pressure leads to, by these measurements."""
    return max(_highest(term, pressure, rising=True) for term in terms)


def kept_by(pressure: Pressure, terms: Sequence[Term] = TERMS) -> Stage:
    """Return the highest stage that a pressure keeps, by these measurements: at least the one that it leads to."""
    return max(_highest(term, pressure, rising=False) for term in terms)


def _highest(term: Term, pressure: Pressure, *, rising: bool) -> Stage:
    value = term.of(pressure)
    reached = [value >= (bound.rise if rising else bound.keep) for bound in term.bounds]
    return Stage(max((number for number, over in enumerate(reached, start=1) if over), default=0))


def reason_of(pressure: Pressure) -> str:
    """Return in words what a pressure consists of: each measurement that keeps a stage above :attr:`Stage.NORMAL`."""
    pressing = [term.words(pressure) for term in TERMS if _highest(term, pressure, rising=False)]
    return "; ".join(pressing) or "the load has fallen"


def _megabytes(nbytes: float) -> str:
    return f"{nbytes / 1e6:.0f} MB"


@dataclass(frozen=True, slots=True)
class StageState:
    """Stage, and what decides about the next one. Times are those of one monotonic clock, in seconds."""

    stage: Stage = Stage.NORMAL
    since_s: float = 0.0
    """Time at which the stage was entered."""
    calm_since_s: float | None = None
    """Time since which the pressure has not kept the stage; ``None``: it keeps it."""


def advance(state: StageState, pressure: Pressure, now_s: float, terms: Sequence[Term] = TERMS) -> StageState:
    """Return the next state.

    Args:
        state: the state so far.
        pressure: the present measurements.
        now_s: the present time, not before that of the last call.
        terms: the measurements that count.
    """
    stage, higher = state.stage, led_to(pressure, terms)
    if higher > stage:
        return StageState(higher, now_s)
    kept = kept_by(pressure, terms)
    if kept >= stage:
        return StageState(stage, state.since_s)
    calm_since_s = now_s if state.calm_since_s is None else state.calm_since_s
    if now_s - calm_since_s < FALL_S:
        return StageState(stage, state.since_s, calm_since_s)
    lower = Stage(stage - 1)
    return StageState(lower, now_s, None if kept >= lower else now_s)
