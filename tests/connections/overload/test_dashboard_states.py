"""States of dashboards under overload: newest versions at intervals for them, all versions for everybody else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connections.fanout.state_fanout import TEXTS_SHOWN_TOGETHER, StateFanout
from gateway.connections.overload.dashboard_states import OFF_S, DashboardStates
from gateway.errors import Code
from gateway.protocol.messages import ClientType, Credits, Delete, Kind, Refresh
from tests.connections.memory import Peer, World, book_all, counts_in
from tests.connections.overload.test_relief import typed
from tests.connections.patches import STREAM, Publisher, Receiver, TextReceiver
from tests.connections.text_messages import HELLO, SUBSCRIBE, message, news, noting_written, person
from tests.connections.versions import CHUNKED, SMALL, Scene, every_size, seen, version


class Lowering:
    """The stage of overload, as far as states of dashboards are concerned."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.states: DashboardStates = world.core.overload.relief.dashboard_states

    def sweep(self, least_interval_s: float = 0.25) -> None:
        self.states.least_interval_s = least_interval_s
        for _ in self.states.sweep():
            self._world.turn()
        self._world.settle()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def dashboard(scene: Scene, name: str = "dashboard") -> Peer:
    return typed(scene.join(name), ClientType.EXTENSION)


def offsets(peer: Peer) -> list[int]:
    return [offset for offset, _ in seen(peer)]


@every_size
def test_a_dashboard_gets_the_newest_version_at_intervals_and_others_get_each(scene: Scene, size: int) -> None:
    watching, lowering = dashboard(scene), Lowering(scene.world)
    scene.publish(0, size)
    lowering.sweep()
    for number in (1, 2, 3):
        scene.publish(number, size)
    assert offsets(watching) == [0]
    lowering.sweep()
    lowering.sweep()
    scene.publish(4, size)
    lowering.sweep()
    assert seen(watching) == [(0, False), (3, False), (4, False)]
    assert offsets(scene.receiver) == [0, 1, 2, 3, 4]


@every_size
@pytest.mark.parametrize("behind", [False, True])
def test_when_the_stage_is_over_a_dashboard_gets_each_version_again(scene: Scene, size: int, behind: bool) -> None:
    watching, lowering = dashboard(scene), Lowering(scene.world)
    scene.publish(0, size)
    lowering.sweep()
    scene.publish(1, size)
    if not behind:
        lowering.sweep()
    lowering.sweep(0.0)
    for number in (2, 3):
        scene.publish(number, size)
    lowering.sweep(0.0)
    assert seen(watching) == [(0, False), (1, False), (2, True), (3, True)]
    assert offsets(scene.receiver) == [0, 1, 2, 3]


def test_its_account_is_that_of_a_client_which_has_skipped_versions(scene: Scene) -> None:
    watching, lowering = dashboard(scene), Lowering(scene.world)
    scene.publish(0)
    lowering.sweep()
    for number in (1, 2, 3):
        scene.publish(number)
    lowering.sweep()
    lowering.sweep(0.0)
    scene.publish(4)
    connection = watching.session.connection
    book_all(connection)
    counts = counts_in(connection.accounts, 1)["wf/s"]
    assert (counts.delivered, counts.conflated, counts.replayed) == (3, 2, 0)
    assert len(watching.read().arrivals) == 3
    assert not watching.reader.replays
    (fanout,) = list(scene.world.core.hub.fanouts)
    assert fanout.delivered_messages == len(scene.receiver.read().arrivals) + 3


def test_a_version_costs_dashboards_that_rest_nothing(scene: Scene) -> None:
    """Not even their encoding: nobody who is awake needs the text, or the message without the codec."""
    lowering, lowered = Lowering(scene.world), [dashboard(scene, name) for name in ("one", "two")]
    lowered.append(typed(scene.join("plain", ()), ClientType.EXTENSION))
    reading = person(scene.world, HELLO.replace("agent", "extension"))
    reading.send(SUBSCRIBE.replace("wf-42/*", "wf/*"))
    scene.publish(0)
    lowering.sweep()
    written = noting_written(scene.world, [reading])
    (fanout,) = scene.world.core.hub.fanouts
    before = [len(peer.transport.writes) for peer in lowered]
    for number in range(1, 6):
        scene.publish(number)
    assert [len(peer.transport.writes) for peer in lowered] == before
    assert not written
    assert not any(peer.session.connection.lagging for peer in lowered)
    assert fanout.receivers == 5
    lowering.sweep()
    assert len(written) == 1
    assert [offsets(peer)[-1] for peer in lowered] == [5, 5, 5]


@pytest.mark.parametrize("since", [None, 0])
def test_a_dashboard_that_comes_later_gets_the_newest_version_at_once_and_then_rests(
    scene: Scene, since: int | None
) -> None:
    lowering = Lowering(scene.world)
    scene.publish(0)
    lowering.sweep()
    watching = typed(scene.world.peer("late"), ClientType.EXTENSION)
    watching.subscribe("wf/*")
    assert offsets(watching) == [0]
    lowering.sweep()
    scene.publish(1)
    assert offsets(watching) == [0]
    watching.subscribe("wf/s")
    watching.say(Refresh(watching.read().stream_id("wf/s")))
    assert offsets(watching)[-1] == 1
    lowering.sweep()
    scene.publish(2)
    lowering.sweep()
    assert offsets(watching)[-1] == 2


def test_dashboards_are_told_once_and_those_that_are_gone_are_forgotten(scene: Scene) -> None:
    watching, gone, lowering = dashboard(scene), dashboard(scene, "gone"), Lowering(scene.world)
    idle = typed(scene.world.peer("idle"), ClientType.EXTENSION)
    lowering.sweep()
    lowering.sweep(1.0)
    scene.world.lose(gone)
    lowering.sweep(1.0)
    assert len(lowering.states._told) == 1
    lowering.sweep(0.0)
    lowering.sweep(0.0)
    assert [notice.code for notice in watching.read().notices] == [Code.VIEW_LOWERED, Code.VIEW_RESTORED]
    assert not idle.read().notices
    assert not scene.receiver.read().notices
    assert not lowering.states._told
    assert not lowering.states._resting


@pytest.mark.parametrize("how", ["unsubscribes", "is lost", "is closed", "unsubscribes and comes back"])
def test_a_dashboard_that_leaves_while_it_rests_leaves_nothing(scene: Scene, how: str) -> None:
    watching, lowering = dashboard(scene), Lowering(scene.world)
    scene.publish(0)
    lowering.sweep()
    scene.publish(1)
    if how.startswith("unsubscribes"):
        watching.unsubscribe(1)
        if how.endswith("back"):
            watching.subscribe("wf/s", 2)
    elif how == "is lost":
        scene.world.lose(watching)
    else:
        watching.session.connection.close(1000, "enough")
        scene.world.lose(watching)
    lowering.sweep()
    scene.publish(2)
    lowering.sweep()
    (fanout,) = scene.world.core.hub.fanouts
    assert fanout.receivers == 1 + how.endswith("back")
    lowering.sweep(0.0)
    scene.publish(3)
    assert fanout.receivers == 1 + how.endswith("back")
    if how.endswith("back"):
        assert offsets(watching)[-3:] == [1, 2, 3]
    elif how == "unsubscribes":
        assert offsets(watching) == [0]


def test_a_stream_that_ends_is_told_to_a_dashboard_that_rests_behind_its_newest_version(scene: Scene) -> None:
    watching, lowering = dashboard(scene), Lowering(scene.world)
    scene.publish(0)
    lowering.sweep()
    scene.publish(1)
    scene.publisher.say(Delete(9, "wf/s"))
    scene.world.settle()
    lowering.sweep()
    lowering.sweep(0.0)
    for peer in (watching, scene.receiver):
        assert offsets(peer) == [0, 1]
        assert len(peer.reader.ended) == 1
    assert not list(scene.world.core.hub.fanouts)


def test_a_dashboard_that_does_not_read_gets_the_newest_version_when_it_does(scene: Scene) -> None:
    watching, lowering = dashboard(scene), Lowering(scene.world)
    scene.publish(0)
    lowering.sweep()
    watching.transport.fill_up()
    for number in range(1, 5):
        scene.publish(number)
        lowering.sweep()
    lowering.sweep(0.0)
    scene.publish(5)
    watching.transport.read_on()
    scene.world.settle()
    scene.publish(6)
    assert offsets(watching)[0] == 0
    assert offsets(watching)[-1] == 6
    assert len(offsets(watching)) < 7


def test_credit_of_a_dashboard_holds_as_well() -> None:
    world = World()
    publisher = world.publisher("wf/s", kind=Kind.STATE)
    watching = typed(world.peer("dashboard", credits=True), ClientType.EXTENSION)
    subscription = watching.subscribe("wf/s", credits=Credits(2, 1 << 20))
    lowering = Lowering(world)
    lowering.sweep()
    for number in range(4):
        publisher.publish(0, bytes([number]))
        lowering.sweep()
    assert watching.read().offsets == [0, 1]
    watching.grant(subscription, 2, 1000)
    world.settle()
    assert watching.read().offsets == [0, 1, 3]


@pytest.mark.parametrize("chunked", [False, True])
def test_patches_reach_it_as_complete_states(chunked: bool) -> None:
    world = World()
    publisher = Publisher(world)
    lowered = Receiver(typed(world.subscriber(STREAM, "d", ("patch",)), ClientType.EXTENSION))
    reading = TextReceiver(world)  # without a client_id: a dashboard
    awake = Receiver(world.subscriber(STREAM, "agent", ("patch",)))
    publisher.whole(np.zeros((200, 50), np.float32))
    world.settle()
    lowering = Lowering(world)
    lowering.sweep()
    for row in range(3):
        publisher.patch(row, row + 1.0, chunked=chunked)
        world.settle()
    lowered.read()
    reading.read()
    assert lowered.offset == reading.offset == 0
    lowering.sweep()
    publisher.patch(5, 5.0, chunked=chunked)
    world.settle()
    lowering.sweep(0.0)
    publisher.patch(6, 6.0, chunked=chunked)
    world.settle()
    everybody: list[Receiver | TextReceiver] = [lowered, reading, awake]
    for receiver in everybody:
        receiver.read()
        for offset, array in receiver.versions.items():
            np.testing.assert_array_equal(array, publisher.versions[offset])
        assert receiver.offset == 5
    assert awake.patches == 5
    assert sorted(lowered.versions) == sorted(reading.versions) == [0, 3, 4, 5]


def test_events_and_agents_and_panels_are_served_as_ever() -> None:
    world = World()
    publisher = world.publisher("wf/s", kind=Kind.STATE)
    publisher.open(1, "wf/e", Kind.EVENT)
    kinds = {kind: typed(world.subscriber("wf/*", kind.value), kind) for kind in ClientType}
    lowering = Lowering(world)
    lowering.sweep()
    for number in range(3):
        publisher.publish(0, bytes([number]))
        publisher.publish(1, bytes([number]))
        world.settle()
    for kind, peer in kinds.items():
        assert len(peer.read().arrivals) == (3 if kind is ClientType.EXTENSION else 6)


@pytest.mark.parametrize("lagging", [False, True])
def test_a_large_version_that_is_on_its_way_when_the_stage_comes_is_sent_once(scene: Scene, lagging: bool) -> None:
    watching, lowering = dashboard(scene), Lowering(scene.world)
    large = scene.publisher.large(0, version(0, CHUNKED))
    large.chunk()
    scene.world.settle()
    lowering.sweep()
    if lagging:
        watching.transport.fill_up()
    large.end()
    scene.world.settle()
    lowering.sweep()
    if lagging:
        watching.transport.read_on()
        scene.world.settle()
    assert watching.read().offsets == [0]
    scene.publish(1, CHUNKED)
    lowering.sweep()
    assert watching.read().offsets == [0, 1]


@pytest.mark.parametrize("failing", ["show", "wake"])
def test_the_failure_of_one_state_costs_the_others_nothing(
    scene: Scene, failing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = scene.world.publisher("wf/other", kind=Kind.STATE)
    watching, lowering = dashboard(scene), Lowering(scene.world)
    watching.subscribe("wf/other", 2)
    scene.publish(0)
    other.publish(0, version(0))
    lowering.sweep()
    assert [fanout.source.name for fanout in lowering.states._resting] == ["wf/s", "wf/other"]
    steps = getattr(StateFanout, failing)
    monkeypatch.setattr(StateFanout, failing, lambda fanout: 1 // 0 if fanout.source.name == "wf/s" else steps(fanout))
    other.publish(0, version(1))
    scene.world.settle()
    lowering.sweep(0.25 if failing == "show" else 0.0)
    assert watching.read().offsets == [0, 0, 1]
    assert "versions of wf/s may not have reached" in caplog.text
    assert len(lowering.states._told) == (failing == "show")


def test_nothing_is_looked_at_without_the_stage(scene: Scene) -> None:
    lowering = Lowering(scene.world)
    lowering.sweep(0.0)
    assert lowering.states.pause_s == OFF_S
    dashboard(scene)
    assert not scene.world.core.hub.fanouts.newcomers.joined
    lowering.sweep(0.5)
    assert lowering.states.pause_s == 0.5


def test_messages_of_the_text_protocol_come_at_intervals() -> None:
    world = World()
    reading = person(world, HELLO.replace("agent", "extension"))
    reading.send(SUBSCRIBE)
    author = person(world)
    lowering = Lowering(world)
    state = message(kind="state")
    author.send(state)
    news(reading, world)
    lowering.sweep()
    for _ in range(3):
        author.send(state)
    told = news(reading, world)
    assert [each["message_type"] for each in told] == ["notice"]
    lowering.sweep()
    (shown,) = news(reading, world)
    assert (shown["message_type"], shown["offset"]) == ("message", 3)


def test_very_many_dashboards_of_the_text_protocol_are_shown_a_short_text_bit_by_bit() -> None:
    world = World(max_connections=2 * TEXTS_SHOWN_TOGETHER + 20)
    readers = [person(world, HELLO.replace("agent", "extension")) for _ in range(2 * TEXTS_SHOWN_TOGETHER + 10)]
    for reading in readers:
        reading.send(SUBSCRIBE)
    author, lowering = person(world), Lowering(world)
    author.send(message(kind="state"))
    world.settle()
    lowering.sweep()
    author.send(message(kind="state"))
    world.settle()
    for reading in readers:
        news(reading, world)
    (fanout,) = lowering.states._resting
    shown = []
    for _ in fanout.show():
        world.settle()
        shown.append(sum([len(news(reading, world)) for reading in readers]))
    assert sum(shown) == len(readers)
    assert max(shown) == TEXTS_SHOWN_TOGETHER


STEPS = ("publish", "show", "end", "refresh", "stop reading", "read on", "subscribe")


@given(st.lists(st.sampled_from(STEPS), max_size=30), st.sampled_from([SMALL, CHUNKED]))
@settings(max_examples=60)
def test_whatever_happens_it_has_correct_versions_in_order_and_at_last_the_newest(steps: list[str], size: int) -> None:
    scene = Scene(keyframe_every=3)
    watching, lowering, published = dashboard(scene), Lowering(scene.world), 1
    scene.publish(0, size)
    for step in steps:
        match step:
            case "publish":
                scene.publish(published, size)
                published += 1
            case "show":
                lowering.sweep()
            case "end":
                lowering.sweep(0.0)
            case "refresh":
                watching.say(Refresh(watching.read().stream_id("wf/s")))
            case "stop reading":
                watching.transport.fill_up()
            case "read on":
                watching.transport.read_on()
            case "subscribe":
                watching.subscribe("wf/*")
        scene.world.settle()
    watching.transport.read_on()
    scene.world.settle()
    lowering.sweep(0.0)
    assert offsets(watching)[-1] == published - 1
    scene.publish(published, size)
    # Each payload is that of its offset, as the reader decodes deltas by the version before.
    assert offsets(watching) == sorted(offsets(watching))
    assert offsets(watching)[-1] == published
    assert offsets(scene.receiver) == list(range(published + 1))
