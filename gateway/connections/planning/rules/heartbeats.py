"""Rule of heartbeats: clients that others wait for are asked often, so that one that vanishes is found soon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.planning.context import Context, WorkflowFacts
from gateway.connections.planning.knob import Knob, Measure, Site

WAITING: Final = {
    GraphPattern.PIPELINE: "stages of a pipeline wait for",
    GraphPattern.REQUEST_REPLY: "others wait for replies of",
}


def heartbeats(context: Context, knobs: Mapping[str, tuple[Knob, ...]]) -> list[Measure]:
    """Return the workflows whose clients wait for some of them.

    Args:
        context: the facts.
        knobs: knobs that are turned for each workflow whose pattern is clear.
    """
    return [
        Measure(Site(Knob.HEARTBEAT, each.name), 1.0, each.name, _reason(each))
        for each in context.workflows
        if each.awaited and Knob.HEARTBEAT in knobs.get(each.name, ())
    ]


def _reason(workflow: WorkflowFacts) -> str:
    first, *others = workflow.awaited
    more = f" and {len(others)} more" if others else ""
    return f"{WAITING.get(workflow.pattern, 'others wait for')} {first}{more}"
