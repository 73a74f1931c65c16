"""Rule of prefetches: the past of a stream that clients of a workflow read as they join is loaded for the next ones."""

from __future__ import annotations

from typing import Final

from gateway.connections.planning.context import Context, PastFacts
from gateway.connections.planning.knob import Knob, Measure, Site

LEAST_JOINS: Final = 2
"""Clients that have read the past of a stream from which others of the workflow are likely to."""

FEW: Final = 4
"""Streams that are loaded from one look to the next, at most."""

UNUSED_S: Final = 60.0
"""Time without a read after which a tail is given up."""


def prefetches(context: Context) -> list[Measure]:
    """Return the streams whose tails are to be in memory: those that are used, and the few that most have read."""
    if context.overloaded:
        return []
    used = [past for past in context.pasts if past.loaded and past.idle_s < UNUSED_S]
    missed = [past for past in context.pasts if not past.loaded and past.joins >= LEAST_JOINS]
    missed.sort(key=lambda past: past.joins, reverse=True)
    return [
        Measure(Site(Knob.PREFETCH, past.stream), 1.0, past.workflow, _reason(past)) for past in (*used, *missed[:FEW])
    ]


def _reason(past: PastFacts) -> str:
    if past.loaded:
        return f"clients that join {past.workflow} read its past"
    return f"{past.joins} clients that have joined {past.workflow} read its past from the store: others are to come"
