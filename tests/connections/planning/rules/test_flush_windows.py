"""Rule of flush windows."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.connections.arrivals import fitted_arrivals
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.planning.context import Context, StreamFacts, WorkflowFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.flush_windows import (
    CPU_PRICE_S,
    WRITE_S,
    flush_windows,
    window_cost_s,
    windows_of,
    writing,
)
from gateway.connections.planning.rules.strategies import strategies
from gateway.protocol.messages import Kind

LAB = WorkflowFacts("lab", GraphPattern.BROADCAST, 0.9)
MANY = StreamFacts("lab/x", "lab", Kind.EVENT, 1000.0, 64_000.0, 50)
WINDOW = Site(Knob.FLUSH_WINDOW, "lab")


def windows(settings: Mapping[Site, float] | None = None, **facts: Any) -> list[Measure]:
    """Return the windows of a busy gateway."""
    context = Context(0.0, **{"busy": 0.8, "settings": settings or {}, **facts})
    return flush_windows(context, {each.workflow: each.knobs for each in strategies(context)})


def test_writes_that_keep_the_loop_busy_call_for_a_window_that_collects_some() -> None:
    (measure,) = windows(workflows=(LAB,), streams=(MANY,))
    assert measure.site == WINDOW
    assert measure.value == 0.005
    assert "busy for 80%" in measure.reason
    assert "1000 messages/s of lab to up to 50 receivers" in measure.reason


def test_a_faster_stream_gets_a_shorter_window() -> None:
    (measure,) = windows(workflows=(LAB,), streams=(MANY._replace(messages_per_s=4000.0),))
    assert measure.value == 0.001


@pytest.mark.parametrize(
    "facts",
    [
        {"busy": 0.2},
        {"workflows": (WorkflowFacts("lab", GraphPattern.PIPELINE, 0.9),)},
        {"workflows": (WorkflowFacts("lab", GraphPattern.BROADCAST, 0.5),)},
        {"streams": (MANY._replace(receivers=2),)},
        {"streams": (MANY._replace(messages_per_s=100.0, receivers=500),)},
    ],
    ids=["not busy", "a pipeline", "an unclear pattern", "few receivers", "nothing to collect"],
)
def test_without_a_need_no_message_waits_for_a_window(facts: dict[str, Any]) -> None:
    assert not windows(**{"workflows": (LAB,), "streams": (MANY,), **facts})


def test_a_window_stays_while_the_loop_would_be_busy_without_it() -> None:
    calm: dict[str, Any] = {"busy": 0.1, "workflows": (LAB,), "streams": (MANY,)}
    assert [measure.value for measure in windows({WINDOW: 0.005}, **calm)] == [0.005]
    less = calm | {"streams": (MANY._replace(messages_per_s=300.0),)}
    assert not windows({WINDOW: 0.005}, **less)


SOON = MANY._replace(messages_per_s=20_000.0, receivers=1, latency_objective_s=0.005)


def test_with_an_objective_messages_are_collected_for_up_to_half_of_it_though_the_loop_is_not_busy() -> None:
    (measure,) = windows(busy=0.3, workflows=(LAB,), streams=(SOON,))
    assert (measure.value, measure.objective_s, measure.precaution) == (0.002, 0.005, True)
    (measure,) = windows(busy=0.3, streams=(SOON._replace(latency_objective_s=0.5),))
    assert measure.value == 0.005


def test_the_shortest_objective_of_a_workflow_counts_and_one_stream_without_any_ends_it() -> None:
    hasty = SOON._replace(name="lab/y", latency_objective_s=0.002)
    assert [measure.value for measure in windows(busy=0.3, streams=(SOON, hasty))] == [0.001]
    without = SOON._replace(name="lab/z", latency_objective_s=None)
    assert not windows(busy=0.3, streams=(SOON, without))
    unheard = without._replace(receivers=0)
    assert windows(busy=0.3, streams=(SOON, unheard))


def test_a_window_that_is_in_force_gets_shorter_or_ends_as_the_objective_does() -> None:
    in_force = {WINDOW: 0.005}
    values = [
        [measure.value for measure in windows(streams=(SOON, *others), settings=in_force)]
        for others in ((), (SOON._replace(name="lab/y", latency_objective_s=0.002),))
    ]
    assert values == [[0.002], [0.001]]
    generous = SOON._replace(latency_objective_s=0.5)
    (measure,) = windows(streams=(generous,), settings={WINDOW: 0.001})
    assert measure.value == 0.001  # it is not tried again whether a longer one saves more
    slow = SOON._replace(messages_per_s=1500.0, receivers=50, latency_objective_s=0.002)
    assert not windows(streams=(slow,), settings=in_force)


@pytest.mark.parametrize(
    "stream",
    [
        SOON._replace(messages_per_s=1000.0),
        SOON._replace(messages_per_s=1000.0, receivers=50, latency_objective_s=0.002),
    ],
    ids=["little to write", "nothing to collect within it"],
)
def test_an_objective_alone_lets_no_message_wait(stream: StreamFacts) -> None:
    assert not windows(busy=0.3, streams=(stream,))


def test_within_an_objective_a_window_pays_that_makes_one_write_of_two() -> None:
    (measure,) = windows(busy=0.3, streams=(SOON._replace(messages_per_s=1_000.0, receivers=20),))
    assert measure.value == 0.002
    assert not windows(busy=0.3, streams=(SOON._replace(messages_per_s=900.0, receivers=20),))


def test_within_an_objective_a_window_stays_while_there_is_somewhat_less_to_write() -> None:
    share_of_one = SOON.messages_per_s * WRITE_S
    less = SOON._replace(messages_per_s=SOON.messages_per_s * 0.08 / share_of_one)
    assert not windows(busy=0.3, streams=(less,))
    (measure,) = windows({WINDOW: 0.002}, busy=0.3, streams=(less,))
    assert measure.value == 0.002
    assert not windows({WINDOW: 0.002}, busy=0.3, streams=(less._replace(messages_per_s=less.messages_per_s / 2),))


def test_a_sample_of_a_burst_of_seconds_counts_as_no_more_than_the_rate_over_a_look() -> None:
    times_s = [0.0001 * turn for turn in range(256)]
    rare = SOON._replace(messages_per_s=2_000.0, arrivals=fitted_arrivals(times_s))
    assert writing(rare) == pytest.approx(2_000.0 * WRITE_S)


def test_messages_that_come_in_one_turn_are_written_together_anyway() -> None:
    in_turns = fitted_arrivals([turn * 0.01 for turn in range(40)])
    assert not windows(streams=(SOON._replace(arrivals=in_turns),))
    many = MANY._replace(messages_per_s=20_000.0, receivers=500, arrivals=in_turns)
    assert not windows(workflows=(LAB,), streams=(many,))


def test_a_window_is_to_hold_the_writes_of_a_burst() -> None:
    times_s = [burst * 0.01 + turn * 5e-5 for burst in range(12) for turn in range(30)]
    bursts = SOON._replace(arrivals=fitted_arrivals(times_s))
    (measure,) = windows(busy=0.3, streams=(bursts,))
    assert measure.value == 0.002
    (measure,) = windows(workflows=(LAB,), streams=(bursts._replace(receivers=50, latency_objective_s=None),))
    assert measure.value == 0.001
    assert writing(bursts, 0.005) == pytest.approx(writing(bursts, 0.002))


def test_within_the_objective_only_the_time_of_the_loop_costs_something() -> None:
    assert window_cost_s(0.001, 0.002, 0.5, None) == pytest.approx(0.003)
    assert window_cost_s(0.001, 0.002, 0.5, 0.005) == pytest.approx(0.5 * CPU_PRICE_S)
    assert window_cost_s(0.004, 0.002, 0.5, 0.005) == pytest.approx(0.001 + 0.5 * CPU_PRICE_S)


def test_each_workflow_has_one_window_and_its_objective() -> None:
    other = MANY._replace(name="shop/x", workflow="shop")
    found = windows_of(Context(0.0, streams=(SOON, MANY._replace(messages_per_s=0.0), other)))
    assert found == [(WINDOW, 0.005), (Site(Knob.FLUSH_WINDOW, "shop"), None)]
