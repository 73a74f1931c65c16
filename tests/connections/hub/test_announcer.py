"""Announcer: where streams begin for the subscriptions of one session."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.hub.announcer import MAX_RESUMES, READERS_A_STEP, Announcer
from gateway.connections.hub.joins import READERS_AT_ONCE
from gateway.connections.hub.pending_joins import Join
from gateway.connections.outbound.delivery_accounts import NO_OPTIONS, SubscribeOptions
from gateway.connections.sessions.session import Session
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.limits import Limits
from gateway.protocol.messages import EndReason, Error, Kind, Open, StreamInfo, Subscribe
from gateway.protocol.names import compile_pattern
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Replay
from gateway.protocol.views import View
from gateway.streams.stream import Stream
from tests.connections.memory import Peer, World, counts_in


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
    for number, pattern in subscriptions:
        peer.session.add_subscription(number, pattern)
    (join,) = announcer.note(peer.session, subscriptions, stream, NO_OPTIONS)
    assert not announced(peer)
    join.finish()
    join.finish()
    (info,) = announced(peer)
    assert (info.stream, info.since, info.subscription) == ("wf/a", since, None)
    for number in (1, 2):
        assert list(counts_in(peer.session.connection.accounts, number)) == ["wf/a"]


def test_the_start_is_that_of_the_note() -> None:
    world, announcer, stream = world_of(Kind.EVENT)
    peer, publisher = world.peer(), world.peer("other")
    pattern = compile_pattern("wf/*")
    peer.session.add_subscription(1, pattern)
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
    session.add_subscription(1, pattern)
    session.add_subscription(2, pattern)
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
    peer.session.add_subscription(1, compile_pattern("wf/*"))
    for join in joins:
        join.finish()
    assert not announced(peer)


def test_a_stream_that_has_ended_is_not_announced() -> None:
    world, announcer, stream = world_of(Kind.STATE)
    peer = world.peer()
    pattern = compile_pattern("wf/*")
    peer.session.add_subscription(1, pattern)
    joins = announcer.note(peer.session, [(1, pattern)], stream, NO_OPTIONS)
    world.core.hub.end(stream, EndReason.DELETED)
    for join in joins:
        join.finish()
    assert not announced(peer)
    assert announcer.note(peer.session, [(1, pattern)], stream, NO_OPTIONS) == []


def refused_streams(peer: Peer) -> list[tuple[int | None, str | None]]:
    errors = [entry for entry in peer.news().log if isinstance(entry, Error)]
    assert {error.code for error in errors} <= {Code.LIMIT_EXCEEDED}
    return [(error.subscription, error.stream) for error in errors]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_connection_receives_so_many_streams_each_counted_for_each_subscription(kind: Kind) -> None:
    world = World(limits=Limits(max_subscribed_streams=3))
    publisher = world.publisher("wf/a", "wf/b", kind=kind)
    peer = world.peer("subscriber")
    peer.subscribe("wf/a", 1)
    peer.subscribe("wf/*", 2)
    peer.subscribe("**", 3)
    assert refused_streams(peer) == [(3, "wf/a"), (3, "wf/b")]
    peer.unsubscribe(2)
    peer.subscribe("wf/*", 4)
    assert refused_streams(peer) == []
    publisher.open(2, "wf/c", kind)
    assert refused_streams(peer) == [(3, "wf/c"), (4, "wf/c")]
    publisher.publish(1, b"x")
    world.turn()
    assert peer.read().offsets == [0]


def test_all_connections_receive_so_many_streams_and_lost_ones_do_not_count() -> None:
    world = World(limits=Limits(max_all_subscribed_streams=3))
    world.publisher("wf/a", "wf/b")
    one, other = world.peer("one"), world.peer("other")
    one.subscribe("wf/*", 1)
    other.subscribe("wf/*", 1)
    assert (refused_streams(one), refused_streams(other)) == ([], [(1, "wf/b")])
    one.drop()
    world.settle()
    other.subscribe("wf/b", 2)
    assert refused_streams(other) == []


def test_views_and_observed_streams_count_as_well() -> None:
    world = World(limits=Limits(max_subscribed_streams=1))
    world.publisher("states/a", "states/b", kind=Kind.STATE)
    world.publisher("wf/t", "wf/u", kind=Kind.COLLABORATION)
    viewer, observer = world.peer("viewer"), world.peer("observer")
    viewer.subscribe("states/*", 1, view=View(np.s_[::2]))
    assert refused_streams(viewer) == [(1, "states/b")]
    observer.subscribe("wf/t", 1, observe=True)
    observer.subscribe("wf/u", 2, observe=True)
    assert refused_streams(observer) == [(2, "wf/u")]


def test_there_are_so_many_consumers_of_all_streams_lost_ones_included() -> None:
    world = World(consumers=ConsumerSettings(max_consumers=2))
    publisher = world.publisher("wf/t", kind=Kind.COLLABORATION)
    worker, other, observer = (world.peer(name) for name in ("worker", "other", "observer"))
    worker.subscribe("wf/*", 1)
    publisher.open(1, "wf/u", Kind.COLLABORATION)
    other.subscribe("wf/*", 1)
    observer.subscribe("wf/*", 1, observe=True)
    assert refused_streams(other) == [(1, "wf/t"), (1, "wf/u")]
    assert refused_streams(observer) == []
    worker.drop()
    again = world.peer("worker")
    again.subscribe("wf/t", 1)
    assert refused_streams(again) == []
    other.subscribe("wf/t", 2)
    assert refused_streams(other) == [(2, "wf/t")]
    again.unsubscribe(1)
    other.subscribe("wf/t", 3)
    assert refused_streams(other) == []


def test_so_many_large_messages_go_on_from_an_earlier_connection() -> None:
    world = World()
    world.publisher("wf/a")
    peer = world.peer("subscriber")
    for number in range(1, MAX_RESUMES + 10):
        peer.say(Subscribe(number, number, "wf/a", resume={"wf/a": (number, 1)}))
        peer.unsubscribe(number)
    outbox = peer.session.connection.outbox
    assert outbox is not None
    assert len(outbox.resumes) == MAX_RESUMES


# New streams that very many receive.

VERY_MANY = 2 * READERS_AT_ONCE


def world_of_readers(kind: Kind, *, view: bool = False, observe: bool = False) -> tuple[World, list[Peer], Peer]:
    """Very many readers, and a publisher that has opened a stream and published to it, all in one turn."""
    world = World()
    readers = [world.peer(f"reader-{number}") for number in range(VERY_MANY)]
    for reader in readers:
        reader.subscribe("wf/*", view=View(np.s_[1:]) if view else None, observe=observe)
        reader.forget()
    world.settle()
    world.take_one_step_a_turn()
    publisher = world.peer("publisher")
    publisher.sequences[0] = 0
    publisher.send(write_session(Open(0, "wf/a", kind)), publisher.message(0, b"one"), publisher.message(0, b"two"))
    return world, readers, publisher


def payloads(peer: Peer) -> list[bytes]:
    return [arrival.payload for arrival in peer.read().arrivals]


def test_a_stream_that_very_many_receive_is_noted_for_few_in_each_step() -> None:
    world, _, _ = world_of_readers(Kind.EVENT)
    stream = world.core.streams.get(StreamName("wf/a"))
    assert stream is not None
    fanout = world.core.hub.fanouts.pubsub_of(stream)
    begun = 0
    for _ in range(3 * VERY_MANY):
        assert not fanout.delivered or begun == VERY_MANY, "the first message waits"
        world.turns(1)
        now = len(fanout.taps) + fanout.receivers
        assert now - begun <= READERS_A_STEP
        begun = now
    assert begun == VERY_MANY
    assert not world.core.hub.idle or not fanout.taps


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.STATE, Kind.CONTROL, Kind.COLLABORATION])
def test_very_many_miss_nothing_of_a_new_stream_whoever_publishes(kind: Kind) -> None:
    world, readers, _ = world_of_readers(kind)
    world.turns(3)
    other = world.peer("other")
    other.sequences[0] = 0
    other.send(write_session(Open(0, "wf/a", kind)), other.message(0, b"three"))
    world.settle()
    assert world.core.hub.idle
    for reader in readers:
        got = payloads(reader)
        assert sorted(got) == [b"one", b"three", b"two"] if kind is not Kind.STATE else got
        assert not [entry for entry in reader.reader.log if isinstance(entry, Replay)]


@pytest.mark.parametrize(("kind", "view"), [(Kind.EVENT, True), (Kind.STATE, True), (Kind.COLLABORATION, False)])
def test_very_many_views_and_observers_miss_nothing_of_a_new_stream(kind: Kind, view: bool) -> None:
    world, readers, _ = world_of_readers(kind, view=view, observe=not view)
    world.settle()
    assert world.core.hub.idle
    for reader in readers:
        assert payloads(reader)[-1] == (b"wo" if view else b"two")
        assert len(announced(reader)) == 1


def test_a_new_stream_is_noted_before_the_subscriptions_of_a_reader_change() -> None:
    world, readers, _ = world_of_readers(Kind.COLLABORATION)
    left, lost, more = readers[:3]
    left.unsubscribe(1)
    lost.drop()
    more.send(write_session(Subscribe(2, 2, "**")))
    world.settle()
    assert payloads(left) == []
    assert payloads(more) == [b"one", b"two"]
    assert {len(payloads(reader)) for reader in readers[3:]} == {2}
    lost, left = [world.subscriber("wf/*", reader.client_id) for reader in (lost, left)]
    world.settle()
    assert payloads(lost) == [b"one", b"two"], "they were kept for the client"
    assert payloads(left) == []


def test_views_of_a_new_stream_are_given_up_with_their_subscriptions() -> None:
    world, readers, _ = world_of_readers(Kind.EVENT, view=True)
    for reader in readers[::2]:
        reader.unsubscribe(1)
    for reader in readers[1::2]:
        reader.drop()
    world.settle()
    assert world.core.hub.idle
    assert not len(world.core.hub.views)


@pytest.mark.parametrize(("kind", "view"), [(Kind.EVENT, False), (Kind.EVENT, True), (Kind.COLLABORATION, False)])
def test_a_new_stream_that_ends_meanwhile_is_noted_no_more(kind: Kind, view: bool) -> None:
    world, readers, publisher = world_of_readers(kind, view=view)
    world.turns(2)
    publisher.drop()
    stream = world.core.streams.get(StreamName("wf/a"))
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    readers[0].drop()
    readers[1].unsubscribe(1)
    world.settle()
    assert world.core.hub.idle
    assert not any(reader.read().arrivals for reader in readers)
    assert not len(world.core.hub.views)


def test_messages_of_a_publisher_that_is_lost_meanwhile_reach_very_many() -> None:
    world, readers, publisher = world_of_readers(Kind.EVENT)
    publisher.drop()
    world.settle()
    assert world.core.hub.idle
    assert all(payloads(reader) == [b"one", b"two"] for reader in readers)


def test_a_reader_for_which_a_new_stream_cannot_be_noted_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    note = Announcer.note
    broken = "reader-7"

    def fail(announcer: Announcer, session: Session, *arguments: Any) -> list[Join]:
        if session.peer.client_id == broken:
            raise RuntimeError("a fault of the gateway")
        return note(announcer, session, *arguments)

    monkeypatch.setattr(Announcer, "note", fail)
    world, readers, _ = world_of_readers(Kind.EVENT)
    world.settle()
    assert world.core.hub.idle
    for number, reader in enumerate(readers):
        if number == 7:
            assert reader.close_code() == Code.INTERNAL_ERROR
        else:
            assert payloads(reader) == [b"one", b"two"]
