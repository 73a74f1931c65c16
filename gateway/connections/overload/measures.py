"""Settings against overload that a stage calls for. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from gateway.connections.overload.stage import Stage

OUTBOX_PART: Final = 4
"""Part of the bound of an outbox that is left in each stage of memory, of that in the stage below it."""

MIN_OUTBOX_BYTES: Final = 256 * 1024

HISTORY_SHARES: Final = (0.3, 0.25, 0.15, 0.1, 0.05)
"""Shares of the memory limit that all histories may have together, by the stage of memory. Without pressure a share
that is too small to lead to a stage, or to keep one: histories fill up, and would come and go with it."""

VIEW_INTERVALS_S: Final = (0.0, 0.0, 0.25, 0.5, 1.0)
"""Least intervals between two versions of a view, and of a state for a dashboard, by the stage."""


class ShedGroup(enum.StrEnum):
    """Clients that are closed under pressure; workflows and admin panels never are."""

    DASHBOARDS = "dashboards"
    """Clients that only look on."""
    AGENTS = "agents"


SHED_FIRST: Final = (ShedGroup.DASHBOARDS, ShedGroup.AGENTS)
"""Groups in the order in which they lose connections, the first one first."""

SHED_A_SWEEP: Final = 8
"""Connections that are closed after one measurement: the next one shows whether that was enough."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds while nothing presses, and the limit of the memory."""

    outbox_limit_bytes: int
    history_total_bytes: int
    memory_limit_bytes: float


@dataclass(frozen=True, slots=True)
class Measures:
    """Settings in force."""

    outbox_limit_bytes: int
    """Bound of each outbox."""
    history_total_bytes: int
    """Bound of all histories together."""
    view_interval_s: float
    """Least interval between two versions of a view, and of a state for a dashboard."""
    refuses_dashboards: bool
    """Whether new dashboards are refused."""
    shed: int
    """Connections that are closed."""


def measures_of(stage: Stage, memory: Stage, bounds: Bounds) -> Measures:
    """Return what a stage calls for.

    Less is kept for receivers and newcomers only if memory presses: it would make no time.

    Args:
        stage: the stage.
        memory: the stage that memory alone has led to; not above ``stage``.
        bounds: bounds while nothing presses.
    """
    outbox_bytes = max(bounds.outbox_limit_bytes // OUTBOX_PART**memory, MIN_OUTBOX_BYTES)
    return Measures(
        min(outbox_bytes, bounds.outbox_limit_bytes),
        int(min(bounds.history_total_bytes, HISTORY_SHARES[memory] * bounds.memory_limit_bytes)),
        VIEW_INTERVALS_S[stage],
        stage >= Stage.REFUSE_DASHBOARDS,
        SHED_A_SWEEP if stage is Stage.SHED else 0,
    )
