"""Patterns: the scores of graphs whose shape is known, and of the windows of traces that were kept out of tuning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.collaboration.graph import NO_COUNTS, Flow, FlowCounts, Graph, Via, advance
from gateway.connections.collaboration.pattern import GraphPattern, scores_of
from gateway.ids import ClientId
from tests.connections.collaboration.traces import SEEDS, Trace, generated, is_held_out, recognitions, recorded

LEAST_RIGHT = 0.95

SHAPES = {
    "one to one": ("a>b", GraphPattern.PIPELINE),
    "one to two": ("a>b a>c", GraphPattern.BROADCAST),
    "two to five": ("a>1 a>2 a>3 a>4 a>5 b>1 b>2 b>3 b>4 b>5", GraphPattern.BROADCAST),
    "a tree that grows": ("a>b a>c b>1 b>2 b>3 c>4 c>5 c>6", GraphPattern.BROADCAST),
    "two from one": ("b>a c>a", GraphPattern.FAN_IN),
    "a tree that shrinks": ("b>a c>a 1>b 2>b 3>b 4>c 5>c 6>c", GraphPattern.FAN_IN),
    "many to one that passes on": ("1>a 2>a 3>a 4>a 5>a a>b", GraphPattern.FAN_IN),
    "a chain": ("a>b b>c c>d", GraphPattern.PIPELINE),
    "a chain that is watched": ("a>b b>c c>d a>w b>w c>w", GraphPattern.PIPELINE),
    "a stage of three workers": ("a>1 a>2 a>3 1>b 2>b 3>b", GraphPattern.PIPELINE),
    "a chain with a loop": ("a>b b>c c>d d>a", GraphPattern.PIPELINE),
    "chains side by side": ("a>1 b>2 c>3 d>4", GraphPattern.PIPELINE),
    "two that answer each other": ("a>b b>a", GraphPattern.REQUEST_REPLY),
    "workers that answer one in the middle": ("m>1 m>2 m>3 1>m 2>m 3>m", GraphPattern.REQUEST_REPLY),
    "three, each to all": ("a>b a>c b>a b>c c>a c>b", GraphPattern.MESH),
    "all to all that are watched": ("a>b a>c b>a b>c c>a c>b a>w b>w c>w", GraphPattern.MESH),
    "four to other four": (" ".join(f"{a}>{b}" for a in "abcd" for b in "1234"), GraphPattern.MESH),
}


def graph_of(pairs: str, via: Via = Via.STREAM, rate_per_s: float = 4.0) -> Graph:
    """Return the graph of clients that have sent as many messages each: ``a>b b>c``."""
    flows = tuple(
        Flow(ClientId(source), ClientId(target), via, rate_per_s, 100.0)
        for source, _, target in (pair.partition(">") for pair in pairs.split())
    )
    return advance(Graph(), FlowCounts(flows, rate_per_s * len(flows), 100.0), 1.0)


@pytest.mark.parametrize(("pairs", "pattern"), SHAPES.values(), ids=SHAPES)
def test_a_shape_has_its_pattern(pairs: str, pattern: GraphPattern) -> None:
    scores = scores_of(graph_of(pairs))
    assert max(scores, key=scores.__getitem__) is pattern
    assert scores[pattern] > 0.8


@pytest.mark.parametrize("pairs", [pairs for pairs, _ in SHAPES.values()], ids=SHAPES)
def test_requests_and_replies_have_their_pattern_whoever_sends_them(pairs: str) -> None:
    assert scores_of(graph_of(pairs, Via.REQUEST))[GraphPattern.REQUEST_REPLY] > 0.9


def test_silence_makes_any_shape_idle() -> None:
    graph = graph_of("a>b a>c")
    idle = [scores_of(graph)[GraphPattern.IDLE]]
    for _ in range(45):
        graph = advance(graph, NO_COUNTS, 1.0)
        idle.append(scores_of(graph)[GraphPattern.IDLE])
    assert idle == sorted(idle)
    assert idle[0] < 0.01
    assert idle[20] < 0.1
    assert idle[-1] > 0.99
    assert scores_of(Graph())[GraphPattern.IDLE] == 1.0


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from(Via), st.floats(0.01, 1e6)).filter(
            lambda each: each[0] != each[1]
        ),
        max_size=30,
        unique_by=lambda each: each[:3],
    )
)
def test_the_scores_of_any_graph_add_up_to_one(rows: list[tuple[int, int, Via, float]]) -> None:
    flows = tuple(Flow(ClientId(str(a)), ClientId(str(b)), via, messages, 1.0) for a, b, via, messages in rows)
    scores = scores_of(advance(Graph(), FlowCounts(flows, sum(flow.messages for flow in flows)), 1.0))
    assert list(scores) == list(GraphPattern)
    assert sum(scores.values()) == pytest.approx(1.0)
    assert min(scores.values()) >= 0.0


def shares_right(traces: Iterable[Trace]) -> tuple[dict[str, float], int]:
    """Return the share of the windows in which the pattern is right, by what is expected, and the number of windows."""
    right: Counter[str] = Counter()
    windows: Counter[str] = Counter()
    for trace in traces:
        for window, recognition in recognitions(trace):
            if window.expected is not None:
                windows[window.expected] += 1
                right[window.expected] += recognition.pattern is window.expected
    return {name: right[name] / windows[name] for name in windows}, windows.total()


@pytest.mark.parametrize(
    ("held_out", "least"),
    [(partial(generated, held_out=True), 3000), (partial(recorded, held_out=True), 150)],
    ids=["generated", "recorded"],
)
def test_the_pattern_is_right_in_the_windows_of_traces_that_were_kept_out_of_tuning(
    held_out: Callable[[], Iterator[Trace]], least: int
) -> None:
    shares, windows = shares_right(held_out())
    assert shares.keys() == set(GraphPattern)
    assert windows > least
    assert {name: share for name, share in shares.items() if share < LEAST_RIGHT} == {}


def test_a_third_of_the_traces_is_kept_out_of_tuning() -> None:
    assert sum(is_held_out(seed) for seed in range(SEEDS)) * 3 == SEEDS
    held_out, others = ({trace.name for trace in recorded(held_out=each)} for each in (True, False))
    assert len(held_out) == (len(held_out) + len(others)) // 3
    assert len(others) > 10
