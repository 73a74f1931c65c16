"""Followed message: when a message has left for each receiver."""

from __future__ import annotations

from gateway.connections.latency.followed_message import MAX_FOLLOWED_S, FollowedMessage
from gateway.connections.socket_counts import SocketCounts, TcpInfo
from gateway.protocol.messages import Kind
from tests.connections.frames import START_NS
from tests.connections.memory import Peer, World


def counts(left_bytes: int, unsent_bytes: int) -> SocketCounts:
    """Those of a socket, of whose bytes half of those that have left are acknowledged."""
    half = left_bytes // 2
    return SocketCounts(tcp=TcpInfo(0.0, 0.0, 0.0, 0.0, False, 0, unsent_bytes, left_bytes - half, half, 0.0, 0.0, 0.0))


class Scene:
    """A stream with one publisher and some receivers."""

    def __init__(self, receivers: int = 1, kind: Kind = Kind.EVENT) -> None:
        self.world = World()
        self.publisher = self.world.publisher("wf/x", kind=kind)
        self.receivers = [self.world.subscriber("wf/x") for _ in range(receivers)]
        (self.stream,) = self.world.core.streams

    def publish(self, count: int = 1) -> FollowedMessage:
        """Publish messages in one turn, and follow the last of them, whose turn is not over."""
        for _ in range(count):
            self.publisher.publish(0, bytes(100))
        receivers = [each.session.connection for each in self.receivers]
        return FollowedMessage(self.stream, self.stream.next_offset - 1, START_NS, receivers)

    def look(self, message: FollowedMessage) -> int:
        return message.look(START_NS + 1)

    def stall(self, receiver: Peer, *, stalled: bool = True) -> None:
        receiver.transport.stalled = stalled
        if not stalled:
            receiver.transport.waiting = 0
            receiver.transport.full = False
            receiver.session.connection.resume_writing()
            self.world.settle()


def test_a_message_has_left_when_its_turn_is_over() -> None:
    scene = Scene(receivers=3)
    message = scene.publish(2)
    assert (scene.look(message), message.waits) == (0, True), "the delivery classes are not flushed"
    scene.world.settle()
    assert (scene.look(message), message.waits) == (3, False)
    assert scene.look(message) == 0


def test_bytes_that_wait_in_the_transport_have_not_left() -> None:
    scene = Scene(receivers=2)
    scene.stall(scene.receivers[0])
    message = scene.publish()
    scene.world.settle()
    assert (scene.look(message), message.waits) == (1, True)
    scene.stall(scene.receivers[0], stalled=False)
    assert (scene.look(message), message.waits) == (1, False)


def test_bytes_that_wait_in_the_system_have_not_left_and_those_behind_do_not_matter() -> None:
    scene = Scene()
    transport = scene.receivers[0].transport
    transport.counts = counts(left_bytes=1000, unsent_bytes=500)
    transport.waiting = 300
    message = scene.publish()
    scene.world.settle()
    assert scene.look(message) == 0
    transport.waiting = 5000
    transport.counts = counts(left_bytes=1799, unsent_bytes=900)
    assert scene.look(message) == 0
    transport.counts = counts(left_bytes=1800, unsent_bytes=900)
    assert (scene.look(message), message.waits) == (1, False)


def test_what_waits_in_the_outbox_has_not_left() -> None:
    scene = Scene()
    scene.stall(scene.receivers[0])
    while not scene.receivers[0].session.connection.lagging:
        scene.publish()
        scene.world.settle()
    message = scene.publish()
    scene.world.settle()
    assert scene.look(message) == 0
    scene.receivers[0].transport.waiting = 0
    assert scene.look(message) == 0, "it is not written yet"
    scene.stall(scene.receivers[0], stalled=False)
    assert scene.look(message) == 1


def test_a_newer_version_counts_as_well_as_one_that_it_has_replaced() -> None:
    scene = Scene(kind=Kind.STATE)
    scene.stall(scene.receivers[0])
    while not scene.receivers[0].session.connection.lagging:
        scene.publish()
        scene.world.settle()
    message = scene.publish()
    scene.world.settle()
    scene.publish()
    scene.world.settle()
    assert scene.stream.conflated_messages > 0
    assert scene.look(message) == 0
    scene.stall(scene.receivers[0], stalled=False)
    assert scene.look(message) == 1


def test_receivers_that_are_gone_do_not_count() -> None:
    scene = Scene(receivers=3)
    for receiver in scene.receivers:
        scene.stall(receiver)
    message = scene.publish()
    scene.world.settle()
    scene.world.lose(scene.receivers[0])
    scene.receivers[1].unsubscribe(1)
    scene.world.settle()
    assert (scene.look(message), message.waits) == (0, True)
    scene.stall(scene.receivers[2], stalled=False)
    assert (scene.look(message), message.waits) == (1, False)


def test_one_that_waits_too_long_counts_with_its_time() -> None:
    scene = Scene(receivers=2)
    scene.stall(scene.receivers[0])
    scene.stall(scene.receivers[1])
    message = scene.publish()
    scene.world.settle()
    late_ns = START_NS + round(MAX_FOLLOWED_S * 1e9)
    assert message.age_s(late_ns) == MAX_FOLLOWED_S
    assert (message.look(late_ns), message.waits) == (2, False)


def test_a_publish_from_the_future_has_no_age() -> None:
    assert Scene().publish().age_s(START_NS - 5) == 0.0
