"""Actuator: settings take effect at connections, streams and groups, and end without a trace."""

from __future__ import annotations

from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.planning.adjust import SettingChange
from gateway.connections.planning.context import WorkflowFacts
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.rules.routings import MemberWeight, Route
from gateway.errors import Code
from gateway.ids import ClientId, PeerId
from gateway.protocol.messages import ClientType, Delete, Hello, Kind
from gateway.protocol.views import View
from tests.connections.memory import FixedPolicy, World
from tests.connections.planning.crowd import LIGHT, Crowd

WINDOW = Site(Knob.FLUSH_WINDOW, "wf")
GROUP = Site(Knob.ROUTING, "group:g")


def cover(world: World) -> None:
    """Have the classes of all streams flushed as is set."""
    for _ in world.core.planning.actuator.cover(list(world.core.streams)):
        pass


def test_a_window_holds_the_streams_of_its_workflow_and_ends_with_what_waits() -> None:
    world = World()
    publisher = world.publisher("wf/x", "other/x")
    receivers = [world.subscriber(stream) for stream in ("wf/x", "other/x")]
    actuator = world.core.planning.actuator
    assert actuator.set(SettingChange(WINDOW, 0.005, "busy"))
    cover(world)
    for alias in (0, 1):
        publisher.publish(alias, b"12345678")
    world.settle()
    assert [len(receiver.read().arrivals) for receiver in receivers] == [0, 1]
    assert actuator.set(SettingChange(WINDOW, 0.0, "calm"))
    assert [len(receiver.read().arrivals) for receiver in receivers] == [1, 1]
    publisher.publish(0, b"12345678")
    world.settle()
    assert len(receivers[0].read().arrivals) == 2


def test_a_stream_that_has_ended_is_passed_over() -> None:
    world = World()
    publisher = world.publisher("wf/x")
    actuator = world.core.planning.actuator
    actuator.set(SettingChange(WINDOW, 0.005, "busy"))
    cover(world)
    stream = next(iter(world.core.streams))
    stream.ended = object()  # type: ignore[assignment]  # all that is looked at
    cover(world)
    actuator.set(SettingChange(WINDOW, 0.0, "calm"))
    assert publisher.close_code() is None


def test_a_stream_that_has_ended_is_not_kept_for_its_window() -> None:
    world = World()
    author = world.publisher("wf/x")
    actuator = world.core.planning.actuator
    actuator.set(SettingChange(WINDOW, 0.005, "busy"))
    cover(world)
    assert any(actuator._windowed.values())
    author.say(Delete(1, "wf/x"))
    world.settle()
    assert not len(world.core.streams)
    cover(world)
    assert not any(actuator._windowed.values())


def test_a_receiver_is_told_that_it_is_paced_and_why() -> None:
    world = World()
    world.publisher("wf/x", kind=Kind.STATE)
    receiver = world.subscriber("wf/x", "viewer")
    site = Site(Knob.PACING, "viewer", receiver.session.peer.id)
    actuator = world.core.planning.actuator
    assert actuator.set(SettingChange(site, 1.0, "a slow link"))
    assert receiver.session.connection in actuator.lag_changes.lagging
    assert actuator.set(SettingChange(site, 0.0, "what called for it is over"))
    notices = receiver.read().notices
    assert [(notice.code, notice.stream) for notice in notices] == [
        (Code.VIEW_LOWERED, None),
        (Code.VIEW_RESTORED, None),
    ]
    assert [notice.reason for notice in notices] == [
        "states come to you as you read them: the gateway adapts to your link",
        "states come to you as fast as you take them: the gateway adapts to your link",
    ]
    assert actuator.has(site)
    world.lose(receiver)
    assert not actuator.has(site)
    assert not actuator.set(SettingChange(site, 1.0, "a slow link"))


def test_a_receiver_that_has_named_a_lower_view_gets_it() -> None:
    world = World()
    world.publisher("wf/x", kind=Kind.STATE)
    receiver = world.subscriber("wf/x", "viewer")
    site = Site(Knob.VIEW, "viewer", receiver.session.peer.id)
    actuator = world.core.planning.actuator
    assert not actuator.has(site)
    assert not actuator.set(SettingChange(site, 1.0, "a slow link", "wf"))
    receiver.subscribe("wf/x", lower=View(max_rate_hz=1.0))
    assert actuator.has(site)
    assert actuator.set(SettingChange(site, 1.0, "a slow link", "wf"))
    assert receiver.session in actuator.lowering
    assert actuator.set(SettingChange(site, 0.0, "it is over", "wf"))
    notices = receiver.read().notices
    assert [notice.reason for notice in notices] == [
        "wf/x comes by the lower view [...] at 1 Hz: the gateway adapts to your link",
        "wf/x comes by the view [...] again: the gateway adapts to your link",
    ]
    world.lose(receiver)
    assert not actuator.has(site)
    assert not actuator.set(SettingChange(site, 1.0, "a slow link", "wf"))


def test_a_group_is_led_by_weights_only_while_that_is_set() -> None:
    world = World()
    member = world.subscriber("group:g", "worker")
    actuator = world.core.planning.actuator
    route = Route("group:g", (MemberWeight(PeerId(member.session.peer.id), "worker", 2.0),))
    actuator.route([route], [])
    assert actuator.groups.weights == {}
    actuator.route([route], [GROUP])
    assert actuator.groups.weights == {"group:g": {member.session.peer.id: 2.0}}
    assert actuator.has(GROUP)
    actuator.set(SettingChange(GROUP, 0.0, "rolled back"))
    assert actuator.groups.weights == {}
    world.lose(member)
    assert not actuator.has(GROUP)


def test_workflows_whose_encodings_have_changed_are_told_once() -> None:
    policy = FixedPolicy()
    world = World(policy=policy)
    world.publisher("wf/x", "wf/y")
    policy.changed = list(world.core.streams)
    actuator = world.core.planning.actuator
    assert actuator.take_disturbed() == {"wf"}
    assert actuator.take_disturbed() == frozenset()


def test_awaited_clients_are_asked_often_in_workflows_with_the_setting() -> None:
    world = World()
    core = world.core
    camera, worker = world.peer("camera"), world.peer("worker")
    facts = [
        WorkflowFacts("wf", GraphPattern.PIPELINE, 0.9, ("camera", "gone")),
        WorkflowFacts("other", GraphPattern.REQUEST_REPLY, 0.9, ("worker",)),
    ]
    actuator, often = core.planning.actuator, Site(Knob.HEARTBEAT, "wf")
    actuator.ask_often(facts, {often})
    assert core.heartbeat.awaited == {camera.session.peer.id}
    actuator.ask_often(facts, {often, Site(Knob.HEARTBEAT, "other")})
    assert core.heartbeat.awaited == {camera.session.peer.id, worker.session.peer.id}
    assert actuator.set(SettingChange(often, 0.0, "plans have failed"))
    assert not core.heartbeat.awaited


def test_a_sender_credit_is_in_force_at_its_receiver() -> None:
    world = World()
    receiver = world.subscriber("wf/*", "collector")
    session, actuator = receiver.session, world.core.planning.actuator
    site = Site(Knob.SENDER_CREDIT, "collector", session.peer.id)
    assert actuator.connection_of("collector") is session.connection
    assert actuator.set(SettingChange(site, 65536.0, "its events wait"))
    assert session.connection.made_outbox().events.sender_credit == 65536
    assert actuator.set(SettingChange(site, 0.0, "rolled back"))
    assert session.connection.made_outbox().events.sender_credit == 0
    world.lose(receiver)
    assert not actuator.has(site)
    assert not actuator.set(SettingChange(site, 65536.0, "its events wait"))
    assert actuator.connection_of("collector") is None


def test_a_tail_that_nobody_has_read_cannot_be_loaded() -> None:
    actuator = World().core.planning.actuator
    site = Site(Knob.PREFETCH, "wf/x")
    assert not actuator.has(site)
    assert not actuator.set(SettingChange(site, 1.0, "others are to come"))
    assert actuator.set(SettingChange(site, 0.0, "what called for it is over"))


def test_a_preferred_stream_is_served_first_at_once_and_in_its_turn_when_that_ends() -> None:
    scene = Crowd()
    actuator, site = scene.planning.actuator, Site(Knob.PRIORITY, LIGHT)
    scene.publish()
    scene.publish()
    turns = scene.connection.made_outbox().turns
    assert actuator.has(site)
    for preferred in (True, False, True):
        assert actuator.set(SettingChange(site, float(preferred), "it waits", "wf"))
        following = turns.next_ready()
        assert following is not None
        assert (following.source is scene.stream) is preferred
    actuator.forget(site)
    assert not scene.stream.preferred


def test_a_stream_that_has_ended_is_not_preferred_and_its_successor_neither() -> None:
    world = World()
    author = world.publisher("wf/x")
    actuator, site = world.core.planning.actuator, Site(Knob.PRIORITY, "wf/x")
    assert actuator.set(SettingChange(site, 1.0, "it waits", "wf"))
    author.say(Delete(1, "wf/x"))
    world.settle()
    assert not actuator.has(site)
    world.publisher("wf/x")
    assert not actuator.has(site)
    actuator.forget(site)
    assert actuator.has(site)
    assert not any(stream.preferred for stream in world.core.streams)
    assert not actuator.set(SettingChange(Site(Knob.PRIORITY, "wf/none"), 1.0, "it waits", "wf"))


def test_a_publisher_is_advised_on_its_chunks_if_it_takes_advice() -> None:
    world = World()
    publisher = world.stranger()
    publisher.say(Hello((1,), ClientType.AGENT, ClientId("trainer"), chunk_advice=True))
    world.answer_hello(publisher)
    publisher.open(0, "wf/x", Kind.EVENT)
    publisher.forget()
    actuator = world.core.planning.actuator
    site = Site(Knob.CHUNK_SIZE, "wf/x", publisher.session.peer.id)
    assert actuator.has(site)
    assert actuator.set(SettingChange(site, 2097152.0, "all are near"))
    assert actuator.set(SettingChange(site, 0.0, "no more"))
    notices = publisher.read().notices
    assert [(each.code, each.stream, each.first, each.chunk_bytes, each.reason) for each in notices] == [
        (Code.CHUNKS_ADVISED, "wf/x", None, 2097152, "all are near"),
        (Code.CHUNKS_ADVISED, "wf/x", None, None, "no more"),
    ]
    silent = world.publisher("wf/y")
    other = Site(Knob.CHUNK_SIZE, "wf/y", silent.session.peer.id)
    assert not actuator.set(SettingChange(other, 2097152.0, "all are near"))
    assert not silent.read().notices
    publisher.say(Delete(1, "wf/x"))
    world.settle()
    assert not actuator.has(site)
    publisher.read().notices.clear()
    actuator.forget(site)
    assert publisher.read().notices[-1].chunk_bytes is None, "another stream of its name begins as others do"
    world.lose(publisher)
    assert not actuator.has(site)
    actuator.forget(site)
