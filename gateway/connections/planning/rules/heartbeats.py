"""Rule of heartbeats: clients that others wait for are asked often, so that one that vanishes is found soon."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.planning.context import Context, WorkflowFacts
from gateway.connections.planning.knob import Knob, Measure, Site


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
    if workflow.pattern is GraphPattern.REQUEST_REPLY:
        return f"others wait for replies of {first}{more}"
    return f"receivers of {workflow.name} wait for {first}{more}"
