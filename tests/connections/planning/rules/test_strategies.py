"""Strategies."""

from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.planning.context import Context, WorkflowFacts
from gateway.connections.planning.rules.strategies import strategies

LAB = WorkflowFacts("lab", GraphPattern.BROADCAST, 0.9)


def test_a_clear_pattern_decides_what_is_tried() -> None:
    unclear = WorkflowFacts("other", GraphPattern.MESH, 0.4)
    (strategy,) = strategies(Context(0.0, workflows=(LAB, unclear)))
    assert strategy.workflow == "lab"
    assert strategy.reason == "broadcast with confidence 0.90"
