"""Graphs: traffic decays, counts are added, and the heaviest keep their places."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.collaboration.graph import (
    FEW_PLACES,
    FORGOTTEN_PER_S,
    HALF_LIFE_S,
    NO_COUNTS,
    PLACES,
    Flow,
    FlowCounts,
    Graph,
    Via,
    advance,
)
from gateway.ids import ClientId


def flow(source: str, target: str, messages: float, via: Via = Via.STREAM) -> Flow:
    return Flow(ClientId(source), ClientId(target), via, messages, messages * 100.0)


def counts(*flows: Flow) -> FlowCounts:
    return FlowCounts(flows, sum(each.messages for each in flows), sum(each.nbytes for each in flows))


def rate_of(graph: Graph, source: str, target: str) -> float:
    return sum(edge.messages_per_s for edge in graph.edges if edge[:2] == (source, target))


def test_a_new_graph_is_silent_and_has_no_clients() -> None:
    assert Graph().silent_s == inf
    assert Graph().clients == frozenset()


def test_a_steady_rate_is_approached_by_half_in_each_half_life() -> None:
    graph = advance(Graph(), counts(flow("a", "b", 10 * HALF_LIFE_S)), HALF_LIFE_S)
    (edge,) = graph.edges
    assert edge[:3] == ("a", "b", Via.STREAM)
    assert edge[3:] == pytest.approx((5.0, 500.0))
    graph = advance(graph, counts(flow("a", "b", 10 * HALF_LIFE_S)), HALF_LIFE_S)
    assert rate_of(graph, "a", "b") == pytest.approx(7.5)
    assert graph.messages_per_s == pytest.approx(7.5)
    assert graph.bytes_per_s == pytest.approx(750.0)
    assert graph.clients == {"a", "b"}


@given(st.lists(st.floats(0.05, 20.0), min_size=1, max_size=20))
def test_a_steady_rate_gives_the_same_graph_however_the_time_is_cut(spans: list[float]) -> None:
    graph = Graph()
    for elapsed_s in spans:
        graph = advance(graph, counts(flow("a", "b", 3 * elapsed_s)), elapsed_s)
    whole = advance(Graph(), counts(flow("a", "b", 3 * sum(spans))), sum(spans))
    assert rate_of(graph, "a", "b") == pytest.approx(rate_of(whole, "a", "b"))


def test_traffic_that_has_ceased_halves_and_is_forgotten() -> None:
    busy = advance(Graph(), counts(flow("a", "b", 8)), 1.0)
    later = advance(busy, NO_COUNTS, HALF_LIFE_S)
    assert rate_of(later, "a", "b") == pytest.approx(rate_of(busy, "a", "b") / 2)
    assert later.silent_s == HALF_LIFE_S
    assert busy.silent_s == 0.0
    while later.edges:
        assert later.edges[0].messages_per_s >= FORGOTTEN_PER_S
        later = advance(later, NO_COUNTS, HALF_LIFE_S)
    assert later.silent_s > 10 * HALF_LIFE_S


def test_ways_of_messages_are_edges_of_their_own_and_the_heaviest_comes_first() -> None:
    graph = advance(
        Graph(), counts(flow("a", "b", 2, Via.REQUEST), flow("b", "a", 2, Via.REPLY), flow("a", "b", 9)), 1.0
    )
    assert [(edge.source, edge.via) for edge in graph.edges] == [
        ("a", Via.STREAM),
        ("a", Via.REQUEST),
        ("b", Via.REPLY),
    ]


@pytest.mark.parametrize("places", [PLACES, FEW_PLACES])
def test_of_many_senders_and_receivers_the_heaviest_have_edges(places: int) -> None:
    many = [flow(f"s{n}", f"r{m}", 1.0 + (n == 70) + (m == 80)) for n in range(80) for m in range(90)]
    graph = advance(Graph(), counts(*many), 1.0, places)
    assert len(graph.edges) == places**2
    assert {"s70", "r80"} <= graph.clients
    assert graph.messages_per_s > sum(edge.messages_per_s for edge in graph.edges)


def test_of_many_clients_those_are_kept_that_both_send_and_receive() -> None:
    out = [flow("middle", f"w{n}", 1.0) for n in range(3 * PLACES)]
    back = [flow(f"w{n}", "middle", 1.0 + n / 1000) for n in range(3 * PLACES)]
    graph = advance(Graph(), counts(*out, *back), 1.0)
    senders = {edge.source for edge in graph.edges} - {"middle"}
    receivers = {edge.target for edge in graph.edges} - {"middle"}
    assert len(senders) == len(receivers) == PLACES - 1
    assert senders == receivers


def test_a_graph_without_some_clients_keeps_the_rest_and_its_sums() -> None:
    graph = advance(Graph(), counts(flow("a", "b", 2), flow("b", "panel", 9), flow("panel", "a", 1)), 1.0)
    left = graph.without({ClientId("panel")})
    assert [(edge.source, edge.target) for edge in left.edges] == [("a", "b")]
    assert (left.messages_per_s, left.silent_s) == (graph.messages_per_s, graph.silent_s)
    assert graph.without({ClientId("a"), ClientId("panel")}) is graph, "nobody else is there"
    assert graph.without(frozenset()).edges == graph.edges
