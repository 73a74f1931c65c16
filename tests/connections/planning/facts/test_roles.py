"""Roles: clients that others wait for, and those that take messages of several."""

from __future__ import annotations

import pytest

from gateway.connections.collaboration.graph import Edge, Graph, Via
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.planning.facts.roles import awaited_in, gatherers_in
from gateway.ids import ClientId


def edge(source: str, target: str, via: Via = Via.STREAM, messages_per_s: float = 10.0) -> Edge:
    return Edge(ClientId(source), ClientId(target), via, messages_per_s, 1000.0)


def graph(*edges: Edge) -> Graph:
    return Graph(tuple(sorted(edges, key=lambda each: -each.messages_per_s)))


def test_whoever_is_asked_is_waited_for() -> None:
    asked = graph(edge("planner", "worker", Via.REQUEST), edge("worker", "planner", Via.REPLY))
    assert awaited_in(asked, GraphPattern.REQUEST_REPLY) == ("worker",)


def test_stages_of_a_pipeline_are_waited_for_and_its_end_is_not() -> None:
    stages = graph(edge("camera", "detector"), edge("detector", "tracker"), edge("tracker", "screen"))
    assert awaited_in(stages, GraphPattern.PIPELINE) == ("camera", "detector", "tracker")


def test_rare_traffic_makes_nobody_wait() -> None:
    stages = graph(edge("camera", "detector"), edge("detector", "camera", messages_per_s=0.01))
    assert awaited_in(stages, GraphPattern.PIPELINE) == ("camera",)


@pytest.mark.parametrize("pattern", [GraphPattern.BROADCAST, GraphPattern.FAN_IN, GraphPattern.MESH, GraphPattern.IDLE])
def test_in_other_patterns_nobody_is_waited_for(pattern: GraphPattern) -> None:
    assert awaited_in(graph(edge("camera", "detector"), edge("a", "b", Via.REQUEST)), pattern) == ()
    assert awaited_in(Graph(), pattern) == ()


def test_without_traffic_nobody_is_waited_for() -> None:
    assert awaited_in(Graph(), GraphPattern.PIPELINE) == ()


def test_whoever_takes_messages_of_several_gathers_them() -> None:
    found = graph(edge("one", "collector"), edge("two", "collector"), edge("one", "log"), edge("x", "log", Via.REQUEST))
    assert gatherers_in(found, GraphPattern.FAN_IN) == (("collector", 2),)
    assert gatherers_in(found, GraphPattern.MESH) == ()
