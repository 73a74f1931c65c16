"""Watched views: bytes that states take by either of two views, from their rates and their descriptors."""

from __future__ import annotations

import numpy as np

from gateway.connections.lowering import TwoViews
from gateway.connections.planning.facts.watched_views import SMOOTHING, WatchedViews
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from tests.connections.memory import Peer, World

COARSE = View(np.s_[::4, ::4])


def viewer_of(world: World, view: View | None = None, lower: View = COARSE) -> Peer:
    peer = world.peer("viewer")
    peer.subscribe("wf/**", view=view, lower=lower)
    world.settle()
    return peer


def states_of(world: World, peer: Peer) -> list[TwoViews]:
    return list(world.core.planning.actuator.lowering.states_of(peer.session))


def test_rates_times_sizes_are_known_from_the_second_look_on_and_smoothed() -> None:
    world = World()
    publisher, peer, watched = world.publisher("wf/x", kind=Kind.STATE), viewer_of(world), WatchedViews()
    publisher.publish_array(0, np.zeros((8, 8), np.float32))
    world.settle()
    assert watched.look(states_of(world, peer), 10.0, 99.0) is None
    for _ in range(10):
        publisher.publish_array(0, np.zeros((8, 8), np.float32))
        world.settle()
    assert watched.look(states_of(world, peer), 12.0, 70.0) == (5 * 256, 5 * 16, 70.0)
    facts = watched.look(states_of(world, peer), 13.0, None)
    assert facts is not None
    assert facts.full_bytes_per_s == (1 - SMOOTHING) * 5 * 256
    assert facts.carried_bytes_per_s == 70.0
    assert watched.look([], 14.0, 1.0) is None


def test_a_rate_of_a_view_bounds_what_it_takes() -> None:
    world = World()
    publisher, watched = world.publisher("wf/x", kind=Kind.STATE), WatchedViews()
    peer = viewer_of(world, lower=View(max_rate_hz=2.0))
    for second in range(2):
        for _ in range(10):
            publisher.publish_array(0, np.zeros(4, np.float32))
            world.settle()
        facts = watched.look(states_of(world, peer), float(second), 0.0)
    assert facts == (160, 32, 0.0)


def test_streams_that_cannot_come_by_the_lower_view_do_not_count() -> None:
    world = World()
    world.publisher("wf/small", kind=Kind.STATE).publish_array(0, np.zeros(4, np.float32))
    world.publisher("wf/event", kind=Kind.EVENT).publish_array(0, np.zeros((8, 8), np.float32))
    world.publisher("wf/empty", kind=Kind.STATE)
    world.settle()
    assert not states_of(world, viewer_of(world))
    plain = world.subscriber("wf/**")
    assert not states_of(world, plain)
