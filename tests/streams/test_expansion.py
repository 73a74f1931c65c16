"""Expansion of encoded states: bounded for all of them, by what their publishers send."""

from __future__ import annotations

import pytest

from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import EndReason, Kind
from tests.connections.memory import Peer, World

ZSTD = Chain(codec="zstd")
SIZE = 100_000


def world_of(kind: Kind = Kind.STATE) -> tuple[World, Peer]:
    world = World(limits=Limits(max_expanded_bytes=SIZE))
    return world, world.publisher("wf/a", "wf/b", kind=kind)


def publish(peer: Peer, alias: int, *, large: bool, chain: Chain = ZSTD) -> list[int]:
    if large:
        peer.large(alias, bytes(SIZE), chain=chain).end()
    else:
        peer.publish(alias, bytes(SIZE), chain=chain)
    return peer.news().codes


@pytest.mark.parametrize("large", [False, True])
def test_encoded_states_are_refused_past_the_bound_and_taken_plain(large: bool) -> None:
    world, peer = world_of()
    assert publish(peer, 0, large=large) == []
    assert publish(peer, 0, large=large) == []
    assert publish(peer, 1, large=large) == [Code.LIMIT_EXCEEDED]
    assert publish(peer, 1, large=large, chain=Chain()) == []
    # A plain version takes the place of the encoded one.
    assert publish(peer, 0, large=large, chain=Chain()) == []
    assert world.core.streams.expansion.total_bytes == 0
    assert publish(peer, 1, large=large) == []


def test_plain_messages_go_the_fast_way_again() -> None:
    world, peer = world_of()
    subscriber = world.subscriber("wf/a")
    publish(peer, 0, large=False)
    for _ in range(3):
        peer.send(*[peer.message(0, b"plain") for _ in range(3)])
    world.settle()
    assert subscriber.read().offsets[-1] == 9
    assert world.core.streams.expansion.total_bytes == 0


def test_events_are_not_counted_and_streams_that_have_ended_no_more() -> None:
    world, peer = world_of(Kind.EVENT)
    for alias in (0, 1):
        assert publish(peer, alias, large=False) == []
    world, peer = world_of()
    publish(peer, 0, large=False)
    world.lose(peer)
    stream = world.core.streams.get(StreamName("wf/a"))
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    world.settle()
    assert world.core.streams.expansion.total_bytes == 0
