"""Sampling of latencies: which messages are followed, to whom, and at what cost."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.latency import sampling
from gateway.connections.latency.followed_message import MAX_FOLLOWED_S
from gateway.connections.latency.sampling import (
    MAX_FOLLOWED,
    MAX_RECEIVERS,
    MAX_STREAMS,
    PATIENCE_S,
    SWEEP_S,
    LatencySampling,
    published_ns_of,
    some_receivers,
)
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from gateway.protocol.wire import Opcode
from tests.connections.frames import START_NS
from tests.connections.memory import LargePublish, World


class Scene:
    """Streams with a publisher and a receiver each, which are sampled when the test says so."""

    def __init__(self, streams: int = 1, kind: Kind = Kind.EVENT) -> None:
        self.world = World(max_connections=400)
        self.names = [f"wf/{number}" for number in range(streams)]
        self.publisher = self.world.publisher(*self.names, kind=kind)
        self.receivers = [self.world.subscriber(name) for name in self.names]
        hub = self.world.core.hub
        self.sampling = LatencySampling(
            lambda: [*hub.fanouts, *[view.fanout for view in hub.views]], self.world.clock, Random(1)
        )

    @property
    def fanouts(self) -> list[PubSubFanout]:
        return [fanout for fanout in self.world.core.hub.fanouts if isinstance(fanout, PubSubFanout)]

    @property
    def tapped(self) -> list[str]:
        return [fanout.source.name for fanout in self.fanouts if fanout.taps]

    def sweep(self, times: int = 1) -> None:
        for _ in range(times):
            self.world.clock.advance(SWEEP_S)
            self.sampling.look()

    def publish(self, *streams: int) -> None:
        for stream in streams:
            self.publisher.publish(stream, bytes(100))
        self.world.settle()

    @property
    def samples(self) -> int:
        return self.sampling.latencies.stats(0.0).samples


def test_the_time_since_the_publish_is_told_once_a_sweep() -> None:
    scene = Scene()
    scene.sweep(2)
    scene.publish(0, 0, 0)
    scene.publish(0)
    assert scene.samples == 1
    assert scene.sampling.latencies.since(0.0) == pytest.approx([2 * SWEEP_S], abs=1e-6)
    scene.sweep()
    scene.publish(0)
    assert scene.samples == 2


def test_a_stream_that_is_not_sampled_has_no_tap() -> None:
    scene = Scene()
    assert not scene.tapped
    scene.sweep(2)
    assert scene.tapped == ["wf/0"]
    scene.publish(0)
    assert not scene.tapped


def test_a_message_that_waits_is_looked_at_until_it_has_left() -> None:
    scene = Scene()
    transport = scene.receivers[0].transport
    scene.sweep(2)
    transport.stalled, transport.waiting = True, 1
    scene.publish(0)
    scene.world.clock.advance(1.0)
    assert scene.samples == 0
    transport.waiting = 0
    scene.world.clock.advance(0.25)
    (latency_s,) = scene.sampling.latencies.since(0.0)
    assert 1.2 <= latency_s <= 1.2 * 1.1 + 0.01
    assert not scene.world.clock.timers


def test_of_many_streams_the_busy_ones_come_first_and_the_others_have_their_turn() -> None:
    scene = Scene(streams=3 * MAX_STREAMS)
    scene.sweep(2)
    assert len(scene.tapped) == MAX_STREAMS // 2
    busy = range(MAX_STREAMS, 2 * MAX_STREAMS)
    scene.publish(*busy)
    scene.sweep()
    assert len(scene.tapped) == MAX_STREAMS
    seen = set(scene.tapped)
    for _ in range(400):
        scene.sweep()
        seen |= set(scene.tapped)
        assert len(scene.tapped) <= MAX_STREAMS
    assert seen == set(scene.names)


def test_more_streams_than_one_sweep_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SEEN_AT_ONCE", 10)
    scene = Scene(streams=35)
    seen: set[str] = set()
    for _ in range(600):
        scene.sweep()
        seen |= set(scene.tapped)
    assert seen == set(scene.names)


def test_a_stream_that_ends_is_given_up() -> None:
    scene = Scene()
    scene.sweep(2)
    fanout = scene.fanouts[0]
    assert fanout in scene.sampling._taps
    scene.world.lose(scene.publisher)
    scene.world.core.hub.fanouts._fanouts.clear()
    scene.sweep(2 + round(PATIENCE_S / SWEEP_S))
    assert (scene.sampling._taps, fanout.taps) == ({}, {})


def test_views_are_sampled_as_well() -> None:
    scene = Scene(streams=0)
    world = scene.world
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish_array(0, np.arange(8.0))
    world.settle()
    viewer = world.peer()
    viewer.subscribe("wf/a", view=View(dtype="float16"))
    world.settle()
    scene.sweep(2)
    publisher.publish_array(0, np.arange(8.0))
    world.settle()
    assert scene.samples == 1


def test_times_that_cannot_be_are_left_out() -> None:
    scene = Scene()
    scene.world.clock.advance(MAX_FOLLOWED_S)
    scene.sweep(2)
    scene.publish(0)
    assert scene.samples == 0


def test_messages_that_are_followed_are_bounded_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_FOLLOWED", 3)
    scene = Scene()
    scene.receivers[0].transport.stalled = True
    scene.receivers[0].transport.waiting = 1
    for _ in range(10):
        scene.sweep()
        scene.publish(0)
    assert scene.sampling._followed == 3
    scene.world.lose(scene.receivers[0])
    scene.world.clock.advance(MAX_FOLLOWED_S)
    assert (scene.sampling._followed, scene.samples) == (0, 0)
    assert MAX_FOLLOWED > 3


def test_every_receiver_may_be_chosen() -> None:
    scene = Scene()
    for _ in range(29):
        scene.world.subscriber("wf/0")
    scene.receivers[0].transport.stalled = True
    while not scene.receivers[0].session.connection.lagging:
        scene.publish(*[0] * 100)
    scene.publish(0)
    chance = Random(2)
    found = Counter(each for _ in range(300) for each in some_receivers(scene.fanouts[0], chance))
    assert len(found) == 30
    assert min(found.values()) > 300 * MAX_RECEIVERS / 30 / 2
    assert len(some_receivers(scene.fanouts[0], chance)) == len(set(some_receivers(scene.fanouts[0], chance))) == 8


def test_the_time_of_a_large_message_is_that_of_its_head() -> None:
    scene = Scene()
    scene.sweep(2)
    upload = LargePublish(scene.publisher, 1, bytes(3 * 64 * 1024))
    upload.begin(Opcode.MESSAGE, 0, 1)
    upload.end()
    scene.receivers[0].read()
    scene.world.settle()
    assert scene.samples == 1


def test_the_time_of_a_run_is_that_of_its_last_message() -> None:
    scene = Scene()
    taken: list[int] = []
    fanout = scene.fanouts[0]
    fanout.taps = {lambda message: taken.append(published_ns_of(message)): None}
    scene.publish(0, 0)
    assert set(taken) == {START_NS}
