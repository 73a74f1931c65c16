"""Fan-in watch: receivers that gather messages are watched while they lag, or have a credit, and so many at most."""

from __future__ import annotations

from collections.abc import Collection

from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.planning.context import FanInFacts, StreamFacts, WorkflowFacts
from gateway.connections.planning.facts.fan_in_watch import MAX_FAN_INS, WATCHED_S, FanInWatch
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.sender_credit import bound_senders
from gateway.protocol.messages import Kind
from tests.connections.memory import World
from tests.connections.planning.fan_in import FanIn

STREAMS = [
    StreamFacts("wf/x", "wf", Kind.EVENT, 60.0, 0.0, 1),
    StreamFacts("wf/y", "wf", Kind.EVENT, 40.0, 0.0, 1),
    StreamFacts("wf/z", "wf", Kind.STATE, 500.0, 0.0, 1),
]


def workflow(*clients: str) -> WorkflowFacts:
    return WorkflowFacts("wf", GraphPattern.FAN_IN, 0.9, (), tuple([(client, 6) for client in clients]))


def read(
    watch: FanInWatch, *workflows: WorkflowFacts, settings: Collection[Site] = (), now_s: float = 1.0
) -> list[FanInFacts]:
    reading = watch.read(workflows, STREAMS, settings, now_s)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            facts: list[FanInFacts] = end.value
            return facts


def test_a_receiver_is_watched_once_it_lags_and_with_its_credit_also_when_nobody_is_known_to_send() -> None:
    scene = FanIn(awaits=False)
    watch = FanInWatch(scene.planning.actuator.connection_of)
    assert not read(watch, workflow("collector", "gone"))
    scene.publish(50)
    (facts,) = read(watch, workflow("collector"))
    assert (facts.client_id, facts.senders, facts.messages_per_s) == ("collector", 6, 100.0)
    site = Site(Knob.SENDER_CREDIT, "collector", scene.connection.peer.id)
    bound_senders(scene.connection, 65536)
    (facts,) = read(watch, settings={site})
    assert facts.senders == 6
    assert set(watch.settling) == {site}
    assert read(watch, now_s=1.0 + WATCHED_S), "the end of the credit may be on trial"
    assert not read(watch, now_s=1.1 + WATCHED_S)
    assert len(watch) == len(watch.settling) == 0


def test_a_receiver_that_lags_no_more_makes_room_for_others() -> None:
    scene = FanIn(awaits=False)
    watch = FanInWatch(scene.planning.actuator.connection_of)
    scene.publish(50)
    assert read(watch, workflow("collector"))
    while scene.connection.lagging:
        scene.read()
    assert read(watch, workflow("collector"), now_s=1.0 + WATCHED_S)
    assert not read(watch, workflow("collector"), now_s=1.1 + WATCHED_S)


def test_a_receiver_that_is_gone_is_not_watched() -> None:
    scene = FanIn(awaits=False)
    watch = FanInWatch(scene.planning.actuator.connection_of)
    scene.publish(50)
    assert read(watch, workflow("collector"))
    scene.world.lose(scene.receiver)
    assert not read(watch, workflow("collector"))


def test_of_very_many_receivers_some_are_watched() -> None:
    world = World(max_connections=2 * MAX_FAN_INS)
    clients = [f"collector-{number}" for number in range(MAX_FAN_INS + 10)]
    for client_id in clients:
        world.subscriber("wf/x", client_id).session.connection.fall_behind()
    watch = FanInWatch(world.core.planning.actuator.connection_of)
    read(watch, workflow(*clients))
    assert len(watch) == MAX_FAN_INS
    watch.forget()
    assert len(watch) == 0
