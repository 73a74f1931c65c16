"""Strategies: the knobs that are tried for each pattern of collaboration."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.planning.context import Context
from gateway.connections.planning.knob import Knob

CLEAR: Final = 0.6
"""Confidence from which a pattern decides what is tried."""

TRIED: Final = {
    GraphPattern.BROADCAST: (Knob.FLUSH_WINDOW, Knob.PACING, Knob.VIEW, Knob.PRIORITY),
    GraphPattern.FAN_IN: (Knob.PACING, Knob.VIEW, Knob.PRIORITY, Knob.ROUTING, Knob.SENDER_CREDIT),
    GraphPattern.PIPELINE: (Knob.PACING, Knob.VIEW, Knob.PRIORITY, Knob.HEARTBEAT),
    GraphPattern.REQUEST_REPLY: (Knob.PACING, Knob.VIEW, Knob.PRIORITY, Knob.ROUTING, Knob.HEARTBEAT),
    GraphPattern.MESH: (Knob.FLUSH_WINDOW, Knob.PACING, Knob.VIEW, Knob.PRIORITY),
    GraphPattern.IDLE: (Knob.PACING, Knob.VIEW, Knob.PRIORITY, Knob.ROUTING),
}
"""Knobs that are turned for each pattern: a window would delay each stage of a pipeline, and each request."""


class Strategy(NamedTuple):
    """Knobs that are tried for one workflow."""

    workflow: str
    knobs: tuple[Knob, ...]
    reason: str


def strategies(context: Context) -> tuple[Strategy, ...]:
    """Return the strategy of each workflow whose pattern is clear."""
    return tuple(
        [
            Strategy(each.name, TRIED[each.pattern], f"{each.pattern} with confidence {each.confidence:.2f}")
            for each in context.workflows
            if each.confidence >= CLEAR
        ]
    )
