"""Bytes of views: bounded for a connection and for all, whether they are known at SUBSCRIBE or grow later."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.viewing.view_memory import VIEW_BYTES
from gateway.errors import Code
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Error, Kind
from gateway.protocol.views import View
from tests.connections.memory import Peer, World

KB = np.zeros(256, np.float32)
"""An array of 1 KiB."""
FULL = VIEW_BYTES + KB.nbytes
"""Bytes that a view of it counts."""


def some(part: int) -> View:
    """One of the views that select all of it but are not equal."""
    return View(max_rate_hz=1.0 + part)


def world_of(*, connection: int = 1 << 30, gateway: int = 1 << 30) -> World:
    return World(limits=Limits(max_connection_view_bytes=connection, max_view_bytes=gateway))


def viewing(world: World, peer: Peer, views: int, stream: str = "wf/a", *, first: int = 1) -> None:
    for number in range(first, first + views):
        peer.subscribe(stream, number, view=some(number))
    world.settle()


def told(peer: Peer) -> list[tuple[int | None, str | None, int]]:
    errors = [entry for entry in peer.news().log if isinstance(entry, Error)]
    return [(error.subscription, error.stream, error.code) for error in errors]


def publisher_of(world: World, *streams: str) -> Peer:
    publisher = world.publisher(*streams, kind=Kind.STATE)
    for alias in range(len(streams)):
        publisher.publish_array(alias, KB)
    return publisher


def test_views_of_a_connection_are_refused_past_its_bound_and_taken_again_when_others_have_gone() -> None:
    world = world_of(connection=2 * FULL)
    publisher_of(world, "wf/a")
    peer, other = world.peer("viewer"), world.peer("other")
    viewing(world, peer, 3)
    assert told(peer) == [(None, None, Code.LIMIT_EXCEEDED)]
    assert world.core.hub.views.memory.held_by(peer.session) == 2 * FULL
    viewing(world, other, 1, first=3)
    assert told(other) == []
    peer.unsubscribe(1)
    viewing(world, peer, 1, first=3)
    assert told(peer) == []


def test_a_single_view_of_any_size_is_taken() -> None:
    world = world_of(connection=1, gateway=1)
    publisher_of(world, "wf/a")
    peer = world.peer("viewer")
    viewing(world, peer, 1)
    assert told(peer) == []
    assert peer.reader.offsets == [0]


def test_views_of_all_connections_are_bounded_and_equal_ones_count_once() -> None:
    world = world_of(gateway=2 * FULL)
    publisher_of(world, "wf/a")
    one, other = world.peer("one"), world.peer("other")
    viewing(world, one, 2)
    viewing(world, other, 3)
    assert told(one) == []
    assert told(other) == [(None, None, Code.LIMIT_EXCEEDED)]
    assert world.core.hub.views.memory.held_bytes == 2 * FULL


def test_of_a_pattern_the_streams_past_the_bound_are_named() -> None:
    world = world_of(connection=2 * FULL)
    publisher_of(world, "wf/a", "wf/b", "wf/c")
    peer = world.peer("viewer")
    peer.subscribe("wf/*", 7, view=View())
    world.settle()
    assert told(peer) == [(7, "wf/c", Code.LIMIT_EXCEEDED)]


def test_who_has_many_views_loses_the_one_that_grows_and_others_get_it() -> None:
    world = world_of(connection=3 * VIEW_BYTES)
    publisher = world.publisher("wf/a", "wf/b", kind=Kind.STATE)
    publisher.publish_array(0, KB)
    many, one = world.peer("many"), world.peer("one")
    many.subscribe("wf/b", 1, view=View())
    many.subscribe("wf/b", 2, view=View())
    viewing(world, many, 1, first=3)
    viewing(world, many, 1, "wf/b", first=4)
    one.subscribe("wf/b", 1, view=View())
    publisher.publish_array(0, np.zeros(VIEW_BYTES // 4, np.float32))
    world.settle()
    world.clock.advance(1)
    assert told(many) == []
    publisher.publish_array(1, KB)
    world.settle()
    assert (1, "wf/b", Code.LIMIT_EXCEEDED) in (lost := told(many))
    assert (2, "wf/b", Code.LIMIT_EXCEEDED) in lost
    assert told(one) == []
    assert one.reader.offsets == [0]
    for peer in (many, one):
        world.core.disconnect(peer.session)
    memory = world.core.hub.views.memory
    assert (memory.held_bytes, memory.held_by(many.session)) == (0, 0)


@pytest.mark.parametrize("grown", [1, 2])
def test_a_version_that_exceeds_the_bound_of_all_is_left_out_until_there_is_room(grown: int) -> None:
    world = world_of(gateway=2 * VIEW_BYTES + KB.nbytes)
    publisher = world.publisher("wf/a", "wf/b", kind=Kind.STATE)
    publisher.publish_array(0, KB)
    peer, other = world.peer("viewer"), world.peer("other")
    viewing(world, other, 1)
    peer.subscribe("wf/b", 1, view=View())
    publisher.publish_array(0, np.zeros(grown * VIEW_BYTES, np.float32))
    world.clock.advance(1)
    world.settle()
    publisher.publish_array(1, KB)
    world.settle()
    assert told(peer) == [(1, "wf/b", Code.LIMIT_EXCEEDED)]
    other.unsubscribe(1)
    publisher.publish_array(1, KB)
    world.settle()
    assert (told(peer), peer.reader.offsets) == ([], [1])
