"""Rule of heartbeats: workflows in which some wait for others, once their pattern is clear."""

from __future__ import annotations

from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.planning.context import Context, WorkflowFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.heartbeats import heartbeats
from gateway.connections.planning.rules.strategies import strategies


def wanted(*workflows: WorkflowFacts) -> list[Measure]:
    context = Context(0.0, workflows=workflows)
    return heartbeats(context, {each.workflow: each.knobs for each in strategies(context)})


def test_clients_that_owe_replies_are_asked_often() -> None:
    facts = WorkflowFacts("lab", GraphPattern.REQUEST_REPLY, 0.9, ("worker", "other", "third"))
    reason = "others wait for replies of worker and 2 more"
    assert wanted(facts) == [Measure(Site(Knob.HEARTBEAT, "lab"), 1.0, "lab", reason)]


def test_so_are_the_stages_of_a_pipeline() -> None:
    (measure,) = wanted(WorkflowFacts("lab", GraphPattern.PIPELINE, 0.9, ("camera",)))
    assert measure.reason == "receivers of lab wait for camera"


def test_nothing_is_wanted_where_nobody_waits_or_the_pattern_is_not_clear() -> None:
    assert not wanted(WorkflowFacts("lab", GraphPattern.PIPELINE, 0.9))
    assert not wanted(WorkflowFacts("lab", GraphPattern.PIPELINE, 0.5, ("camera",)))
    assert not wanted(WorkflowFacts("lab", GraphPattern.BROADCAST, 0.9, ("camera",)))
