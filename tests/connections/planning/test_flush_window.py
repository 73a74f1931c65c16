"""Flush windows: messages are collected for a while, none is lost, and their order is kept."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_without_a_window_each_turn_is_written() -> None:
    scene = Scene()
    for _ in range(3):
        scene.publish()
    assert len(scene.receiver.transport.writes) == 3


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["publish", "window", "none", "time", "join"]), max_size=30))
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
    scene.world.clock.advance(WINDOW_S)
    scene.world.settle()
    assert scene.came() == [*range(scene.published)]
