"""Plans: facts in, settings with reasons out."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.overload.measures import ShedGroup
from gateway.connections.planning.context import (
    Context,
    GatewayFacts,
    GroupFacts,
    MemberFacts,
    ReceiverFacts,
    StreamFacts,
    WorkflowFacts,
)
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.plan import plan
from gateway.protocol.messages import ClientType, Kind

LAB = WorkflowFacts("lab", GraphPattern.BROADCAST, 0.9)
MANY = StreamFacts("lab/x", "lab", Kind.EVENT, 1000.0, 64_000.0, 50)
WINDOW = Site(Knob.FLUSH_WINDOW, "lab")
PACE = Site(Knob.PACING, "viewer", 7)
GROUP = Site(Knob.ROUTING, "group:workers")


def receiver(**facts: Any) -> ReceiverFacts:
    """Return a receiver behind a slow link, with some other facts."""
    slow = ReceiverFacts(7, "viewer", ClientType.AGENT, "lab", 600_000.0, 250_000.0, 0.8, 0.9, 0.0, Bottleneck.LINK)
    return slow._replace(**facts)


def group(*times_s: float) -> GroupFacts:
    """Return a group whose members take these times."""
    members = [MemberFacts(f"worker-{peer}", peer, 1, 20, time_s) for peer, time_s in enumerate(times_s)]
    return GroupFacts("group:workers", 100.0, 0.1, tuple(members))


def context(settings: Mapping[Site, float] | None = None, **facts: Any) -> Context:
    """Return a context of a busy gateway."""
    return Context(0.0, **{"busy": 0.8, "settings": settings or {}, **facts})


def test_a_gateway_that_does_nothing_needs_nothing() -> None:
    nothing = plan(Context(0.0))
    assert (nothing.quality, nothing.routes, nothing.moves) == ((), (), ())


def test_writes_that_keep_the_loop_busy_call_for_a_window_that_collects_some() -> None:
    (measure,) = plan(context(workflows=(LAB,), streams=(MANY,))).quality
    assert measure.site == WINDOW
    assert measure.value == 0.005
    assert "busy for 80%" in measure.reason
    assert "1000 messages/s of lab to up to 50 receivers" in measure.reason


def test_a_faster_stream_gets_a_shorter_window() -> None:
    (measure,) = plan(context(workflows=(LAB,), streams=(MANY._replace(messages_per_s=4000.0),))).quality
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
    assert not plan(context(**{"workflows": (LAB,), "streams": (MANY,), **facts})).quality


def test_a_window_stays_while_the_loop_would_be_busy_without_it() -> None:
    calm: dict[str, Any] = {"busy": 0.1, "workflows": (LAB,), "streams": (MANY,)}
    assert [measure.value for measure in plan(context({WINDOW: 0.005}, **calm)).quality] == [0.005]
    less = calm | {"streams": (MANY._replace(messages_per_s=300.0),)}
    assert not plan(context({WINDOW: 0.005}, **less)).quality


def test_a_slow_link_that_delays_states_calls_for_pacing() -> None:
    (measure,) = plan(context(receivers=(receiver(),))).quality
    assert measure.site == PACE
    assert measure.value == 1.0
    assert measure.scope == "lab"
    assert measure.reason == (
        "what is sent to it waits 800 ms on its way; 600 kB/s of states are published to it,"
        " and its link carries 250 kB/s"
    )


@pytest.mark.parametrize(
    "facts",
    [{"queue_delay_s": 0.02}, {"demand_bytes_per_s": 0.0}],
    ids=["no delay", "no states"],
)
def test_receivers_whose_states_come_fresh_are_not_paced(facts: dict[str, Any]) -> None:
    assert not plan(context(receivers=(receiver(**facts),))).quality


def test_pacing_stays_until_the_link_has_carried_every_version_for_a_while() -> None:
    paced = receiver(queue_delay_s=0.0)
    assert plan(context({PACE: 1.0}, receivers=(paced,))).quality
    assert not plan(context({PACE: 1.0}, receivers=(paced._replace(kept_up_s=60.0),))).quality


def test_members_that_take_different_times_get_weights() -> None:
    made = plan(context(groups=(group(0.01, 0.04, 0.01),)))
    (measure,) = made.quality
    assert measure.site == GROUP
    assert "from 10.0 to 40.0 ms" in measure.reason
    (route,) = made.routes
    assert [(member.client_id, round(member.weight, 6)) for member in route.weights] == [
        ("worker-0", 1.0),
        ("worker-1", 4.0),
        ("worker-2", 1.0),
    ]


def test_members_that_take_about_the_same_time_are_equal() -> None:
    assert not plan(context(groups=(group(0.010, 0.012),))).quality
    assert not plan(context(groups=(group(0.010),))).quality
    assert plan(context({GROUP: 1.0}, groups=(group(0.010, 0.014),))).quality
    assert not plan(context({GROUP: 1.0}, groups=(group(0.010, 0.011),))).quality


def test_members_without_enough_replies_do_not_count() -> None:
    unknown = group(0.01, 0.04)
    members = tuple([member._replace(replies=2) for member in unknown.members])
    assert not plan(context(groups=(unknown._replace(members=members),))).quality


def test_the_clients_of_an_operator_are_never_shed() -> None:
    assert plan(Context(0.0)).pool.shed_first == (ShedGroup.DASHBOARDS, ShedGroup.AGENTS)


def test_a_clear_pattern_decides_what_is_tried() -> None:
    unclear = WorkflowFacts("other", GraphPattern.MESH, 0.4)
    (strategy,) = plan(context(workflows=(LAB, unclear))).adaptation
    assert strategy.workflow == "lab"
    assert strategy.reason == "broadcast with confidence 0.90"


def test_a_workflow_moves_to_where_most_of_it_is() -> None:
    here = GatewayFacts("wss://a", 0.2, {"lab": 10.0, "other": 100.0})
    there = GatewayFacts("wss://b", 0.3, {"lab": 90.0})
    (move,) = plan(context(gateways=(here, there))).moves
    assert (move.workflow, move.address) == ("lab", "wss://b")
    assert move.reason == "90% of the messages of lab are delivered there"


def test_a_busy_gateway_gives_its_smallest_workflow_to_one_that_has_room() -> None:
    here = GatewayFacts("wss://a", 0.9, {"small": 10.0, "large": 100.0})
    busy, free = GatewayFacts("wss://b", 0.7, {}), GatewayFacts("wss://c", 0.1, {})
    (move,) = plan(context(gateways=(here, busy, free))).moves
    assert (move.workflow, move.address) == ("small", "wss://c")
    assert not plan(context(gateways=(here, busy))).moves
    assert not plan(context(gateways=(here,))).moves
