"""Pacing: the newest version leaves when those before have been read; everything else as ever."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.planning.pacing import begin_pacing, end_pacing
from gateway.protocol.messages import Kind
from tests.connections.memory import Peer, TextPeer, World

SIZE = 20_000


class Scene:
    """A publisher of a state and of events, and a receiver that answers PINGs when it is told to."""

    def __init__(self) -> None:
        self.world = World()
        self.publisher = self.world.peer("publisher")
        self.publisher.open(0, "wf/state", Kind.STATE)
        self.publisher.open(1, "wf/event", Kind.EVENT)
        self.receiver = self.world.subscriber("wf/*")
        self.receiver.responsive = False
        self.receiver.forget()
        self.version = 0

    def publish(self, versions: int = 1) -> None:
        """Publish versions of the state, each in a turn of its own."""
        for _ in range(versions):
            self.version += 1
            self.publisher.publish(0, self.version.to_bytes(8, "little") * (SIZE // 8))
            self.world.settle()


def versions_of(peer: Peer) -> list[int]:
    """Return the versions of all that a receiver has got; its PINGs are answered."""
    return [int.from_bytes(each.payload[:8], "little") for each in peer.read().arrivals if len(each.payload) >= SIZE]


def test_a_paced_receiver_gets_the_newest_version_once_it_has_read_the_one_before() -> None:
    scene = Scene()
    assert begin_pacing(scene.receiver.session.connection)
    scene.publish(5)
    assert versions_of(scene.receiver) == [1, 5], "the answer to the first one has let the newest one go"
    scene.world.settle()
    scene.publish(3)
    assert versions_of(scene.receiver)[:2] == [1, 5]
    scene.world.settle()
    assert versions_of(scene.receiver)[-1] == 8
    assert scene.receiver.session.connection.made_outbox().conflated > 0


def test_without_pacing_all_versions_leave_at_once() -> None:
    scene = Scene()
    scene.publish(5)
    assert versions_of(scene.receiver) == [1, 2, 3, 4, 5]


def test_events_pass_versions_that_wait() -> None:
    scene = Scene()
    begin_pacing(scene.receiver.session.connection)
    scene.publish(3)
    for number in range(4):
        scene.publisher.publish(1, bytes([number]) * 8)
        scene.world.settle()
    written = b"".join(scene.receiver.transport.writes)
    assert all(bytes([number]) * 8 in written for number in range(1, 4))
    assert versions_of(scene.receiver) == [1, 3]


def test_the_end_of_pacing_sends_what_waits_and_the_receiver_keeps_up_again() -> None:
    scene = Scene()
    connection = scene.receiver.session.connection
    begin_pacing(connection)
    scene.publish(3)
    assert connection.lagging
    end_pacing(connection)
    scene.world.settle()
    assert versions_of(scene.receiver) == [1, 3]
    assert not scene.receiver.session.connection.lagging
    scene.publish(3)
    assert versions_of(scene.receiver) == [1, 3, 4, 5, 6]


def test_whoever_does_not_answer_pings_or_is_gone_is_not_paced() -> None:
    world = World()
    assert not begin_pacing(TextPeer(world).session.connection)
    receiver = world.subscriber("wf/*")
    world.lose(receiver)
    receiver.session.connection.close(4000, "gone")
    assert not begin_pacing(receiver.session.connection)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["publish", "event", "read", "pace", "end", "stall", "read on"]), max_size=40))
def test_a_paced_receiver_gets_the_last_version_and_every_event_in_order(steps: list[str]) -> None:
    scene = Scene()
    connection, events = scene.receiver.session.connection, 0
    for step in steps:
        match step:
            case "publish":
                scene.publish()
            case "event":
                events += 1
                scene.publisher.publish(1, events.to_bytes(8, "little"))
                scene.world.settle()
            case "read":
                scene.receiver.read()
            case "pace":
                begin_pacing(connection)
            case "end":
                end_pacing(connection)
            case "stall" if not scene.receiver.transport.stalled:
                scene.receiver.transport.fill_up()
            case "read on":
                scene.receiver.transport.read_on()
    scene.receiver.transport.read_on()
    for _ in range(8):
        scene.receiver.read()
        scene.world.settle()
    versions = versions_of(scene.receiver)
    assert versions == sorted(set(versions))
    assert not scene.version or versions[-1] == scene.version
    got = [int.from_bytes(each.payload, "little") for each in scene.receiver.reader.arrivals if len(each.payload) == 8]
    assert got == [*range(1, events + 1)]


def test_a_paced_receiver_has_nothing_waiting_once_it_has_read_everything() -> None:
    scene = Scene()
    connection = scene.receiver.session.connection
    begin_pacing(connection)
    scene.publish(3)
    assert connection.has_waiting
    scene.receiver.read()
    scene.world.settle()
    scene.receiver.read()
    scene.world.settle()
    assert not scene.receiver.session.connection.has_waiting
    assert scene.world.core.drained, "a gateway that stops does not wait for it"


def test_a_view_is_computed_for_a_paced_receiver_as_often_as_for_others() -> None:
    scene = Scene()
    fanout = scene.world.core.hub.fanouts.of(next(iter(scene.world.core.streams)))
    assert isinstance(fanout, PubSubFanout)
    begin_pacing(scene.receiver.session.connection)
    assert scene.receiver.session.connection.lagging
    assert not fanout.all_lagging
