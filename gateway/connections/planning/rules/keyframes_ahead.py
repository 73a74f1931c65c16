"""Rule of keyframes ahead: the newest version of a state that receivers join in waves is encoded before they come."""

from __future__ import annotations

from typing import Final

from gateway.connections.planning.context import Context, JoinFacts
from gateway.connections.planning.knob import Knob, Measure, Site

MOST: Final = 4
"""Streams whose newest version is encoded ahead at a time: each form takes up to the size of a version."""


def keyframes_ahead(context: Context) -> list[Measure]:
    """Return the states whose newest version is to be encoded ahead: those that most receivers join."""
    if context.overloaded:
        return []
    most = sorted(context.joins, key=lambda each: (not each.ahead, -each.joins / each.period_s))[:MOST]
    return [Measure(Site(Knob.KEYFRAME_AHEAD, each.stream), 1.0, each.workflow, _reason(each)) for each in most]


def _reason(each: JoinFacts) -> str:
    receivers = "a receiver joins" if each.joins < 1.5 else f"{each.joins:.0f} receivers join"
    return f"{receivers} {each.stream} every {each.period_s:.1f} s: its newest version is encoded before they come"
