"""Announcer: where streams begin for the subscriptions of one session."""

from __future__ import annotations

import pytest

from gateway.connections.hub.announcer import Announcer
from gateway.connections.outbound.delivery_accounts import NO_OPTIONS, SubscribeOptions
from gateway.ids import StreamName
from gateway.protocol.messages import EndReason, Kind, StreamInfo
from gateway.protocol.names import compile_pattern
from gateway.streams.stream import Stream
from tests.connections.memory import Peer, World


def world_of(kind: Kind) -> tuple[World, Announcer, Stream]:
    """A stream with one message."""
    world = World()
    publisher = world.publisher("wf/a", kind=kind)
    publisher.publish(0, b"x")
    world.settle()
    hub = world.core.hub
    stream = world.core.streams.get(StreamName("wf/a"))
    assert stream is not None
    return world, Announcer(world.core.streams, hub.fanouts, hub.observations), stream


def announced(peer: Peer) -> list[StreamInfo]:
    return [entry for entry in peer.read().log if isinstance(entry, StreamInfo)]


@pytest.mark.parametrize(("kind", "since"), [(Kind.EVENT, 1), (Kind.STATE, 0), (Kind.COLLABORATION, 1)])
def test_one_announcement_serves_all_subscriptions_that_match(kind: Kind, since: int) -> None:
    world, announcer, stream = world_of(kind)
    peer = world.peer()
    subscriptions = [(number, compile_pattern("wf/*")) for number in (1, 2)]
    peer.session.subscriptions.update(subscriptions)
    (join,) = announcer.note(peer.session, subscriptions, stream, NO_OPTIONS)
    assert not announced(peer)
    join.finish()
    join.finish()
    (info,) = announced(peer)
    assert (info.stream, info.since, info.subscription) == ("wf/a", since, None)
    for number in (1, 2):
        assert list(dict(peer.session.connection.accounts.of(number))) == ["wf/a"]


def test_the_start_is_that_of_the_note() -> None:
    world, announcer, stream = world_of(Kind.EVENT)
    peer, publisher = world.peer(), world.peer("other")
    pattern = compile_pattern("wf/*")
    peer.session.subscriptions[1] = pattern
    # An offset that was never assigned when it was named.
    (join,) = announcer.note(peer.session, [(1, pattern)], stream, SubscribeOptions(since=3))
    publisher.open(0, "wf/a")
    for _ in range(4):
        publisher.publish(0, b"y")
    world.settle()
    join.finish()
    world.settle()
    (info,) = announced(peer)
    assert (info.since, info.recovered) == (0, False)
    assert peer.reader.offsets == [0, 1, 2, 3, 4]


def test_who_observes_and_works_gets_an_announcement_for_each() -> None:
    world, announcer, stream = world_of(Kind.COLLABORATION)
    peer = world.peer()
    pattern = compile_pattern("wf/*")
    session = peer.session
    session.subscriptions.update({1: pattern, 2: pattern})
    session.observing = frozenset({1})
    for join in announcer.note(session, [(1, pattern), (2, pattern)], stream, NO_OPTIONS):
        join.finish()
    observed, own = announced(peer)
    assert (observed.observed, observed.subscription) == (True, 1)
    assert (own.observed, own.subscription, own.id) == (None, None, stream.id)


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.STATE, Kind.COLLABORATION])
def test_a_subscription_that_has_ended_gets_nothing(kind: Kind) -> None:
    world, announcer, stream = world_of(kind)
    peer = world.peer()
    pattern = compile_pattern("wf/*")
    joins = announcer.note(peer.session, [(1, pattern)], stream, NO_OPTIONS)
    peer.session.subscriptions[1] = compile_pattern("wf/*")
    for join in joins:
        join.finish()
    assert not announced(peer)


def test_a_stream_that_has_ended_is_not_announced() -> None:
    world, announcer, stream = world_of(Kind.STATE)
    peer = world.peer()
    pattern = compile_pattern("wf/*")
    peer.session.subscriptions[1] = pattern
    joins = announcer.note(peer.session, [(1, pattern)], stream, NO_OPTIONS)
    world.core.hub.end(stream, EndReason.DELETED)
    for join in joins:
        join.finish()
    assert not announced(peer)
    assert announcer.note(peer.session, [(1, pattern)], stream, NO_OPTIONS) == []
