"""Flush windows: messages are collected for a while, none is lost, and their order is kept."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connections.fanout.delivery_class import MANY_OWED
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.planning.flush_window import WindowedFlusher, flush_by
from gateway.protocol.messages import Kind
from tests.connections.memory import World

WINDOW_S = 0.005


class Scene:
    """A publisher, a receiver, and a window that can be set."""

    def __init__(self) -> None:
        self.world = World()
        self.publisher = self.world.publisher("wf/x", kind=Kind.EVENT)
        self.receiver = self.world.subscriber("wf/x")
        self.receiver.forget()
        self.published = 0
        fanout = self.world.core.hub.fanouts.of(next(iter(self.world.core.streams)))
        assert isinstance(fanout, PubSubFanout)
        self.fanout = fanout
        self.windowed = WindowedFlusher(self.world.core.hub.fanouts.flusher, self.world.clock, WINDOW_S)

    def publish(self) -> None:
        """Publish a message in a turn of its own."""
        self.publisher.publish(0, self.published.to_bytes(8, "little"))
        self.published += 1
        self.world.settle()

    def came(self) -> list[int]:
        """Return the messages that have come."""
        return [int.from_bytes(arrival.payload, "little") for arrival in self.receiver.read().arrivals]


def test_messages_are_written_together_when_the_window_has_passed() -> None:
    scene = Scene()
    flush_by(scene.fanout, scene.windowed)
    for _ in range(3):
        scene.publish()
    assert scene.came() == []
    assert not scene.windowed.idle
    scene.receiver.transport.writes.clear()
    scene.world.clock.advance(WINDOW_S)
    assert len(scene.receiver.transport.writes) == 1
    assert scene.came() == [0, 1, 2]
    assert scene.windowed.idle


def test_many_deliveries_to_outboxes_do_not_wait_for_a_window() -> None:
    """They would be made in one turn, which would be long: of 500 clients that lag, 300 messages took 0.2 s."""
    scene = Scene()
    slow = [scene.world.subscriber("wf/x", f"slow-{number}") for number in range(MANY_OWED // 4)]
    for peer in slow:
        peer.session.connection.pause_writing()
    flush_by(scene.fanout, scene.windowed)
    scene.publish()
    scene.world.clock.advance(WINDOW_S)
    assert scene.came() == [0]
    longest = 0
    for _ in range(40):
        longest = max(longest, scene.windowed.owed + scene.world.core.hub.fanouts.flusher.owed)
        scene.publish()
    assert longest <= MANY_OWED
    assert len(scene.came()) > 30
    scene.world.clock.advance(WINDOW_S)
    assert scene.windowed.idle
    outbox = slow[0].session.connection.outbox
    assert outbox is not None
    assert outbox.waiting_bytes > 40 * 8


def test_without_a_window_each_turn_is_written() -> None:
    scene = Scene()
    for _ in range(3):
        scene.publish()
    assert len(scene.receiver.transport.writes) == 3


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["publish", "window", "none", "time", "join", "slow"]), max_size=30))
def test_the_same_messages_come_in_the_same_order_whatever_the_windows(steps: list[str]) -> None:
    scene = Scene()
    for step in steps:
        match step:
            case "publish":
                scene.publish()
            case "window":
                flush_by(scene.fanout, scene.windowed)
            case "none":
                flush_by(scene.fanout, scene.world.core.hub.fanouts.flusher)
            case "time":
                scene.world.clock.advance(0.002)
            case "join":
                scene.world.subscriber("wf/x")
            case "slow":
                for _ in range(MANY_OWED // 2):
                    scene.world.subscriber("wf/x").session.connection.pause_writing()
    scene.world.clock.advance(WINDOW_S)
    scene.world.settle()
    assert scene.came() == [*range(scene.published)]
