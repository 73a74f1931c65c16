"""Departures: whoever receives many streams leaves them bit by bit, and nothing that is owed is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.hub.joins import FEW
from gateway.connections.hub.stream_end import STEPS_AT_ONCE
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.messages import EndReason, Kind, StreamInfo, Unsubscribe, Unsubscribed
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Ping, Pong
from gateway.protocol.views import View
from tests.connections.memory import Peer, TextPeer, World

MANY = 2 * FEW


def world_of(kind: Kind = Kind.EVENT, consumers: ConsumerSettings | None = None) -> tuple[World, Peer]:
    """A world of many streams, and their publisher."""
    world = World(consumers=consumers)
    publisher = world.publisher(*[f"wf/{number}" for number in range(MANY)], kind=kind)
    world.settle()
    return world, publisher


def subscribed(world: World, client_id: str = "subscriber", **options: bool) -> Peer:
    """A client that receives all of them."""
    peer = world.peer(client_id)
    peer.subscribe("wf/*", 1, observe=options.get("observe"))
    world.settle()
    peer.forget()
    return peer


def is_idle(world: World) -> bool:
    """Whether nobody is about to leave; a function, since the world changes behind a type checker's back."""
    return world.core.hub.idle


def receivers(world: World) -> int:
    return sum(fanout.receivers for fanout in world.core.hub.fanouts)


def unsubscribed(peer: Peer) -> bool:
    return any(isinstance(entry, Unsubscribed) for entry in peer.read().log)


def test_many_streams_are_left_before_the_request_is_answered_and_frames_behind_it_wait() -> None:
    world, publisher = world_of()
    subscriber = subscribed(world)
    world.take_one_step_a_turn()
    subscriber.send(write_session(Unsubscribe(5, 1)), Ping(7).write())
    world.turns(20)
    assert 0 < receivers(world) < MANY
    assert not is_idle(world)
    assert not subscriber.read().log
    world.settle()
    answer, pong = subscriber.read().log
    assert isinstance(answer, Unsubscribed)
    assert isinstance(pong, Pong)
    assert not receivers(world)
    assert world.core.hub.idle
    publisher.publish(0, b"x")
    world.settle()
    assert not subscriber.news().log


def test_streams_that_another_subscription_wants_stay() -> None:
    world, publisher = world_of()
    subscriber = subscribed(world)
    subscriber.subscribe("*/7", 2)
    world.settle()
    subscriber.unsubscribe(1)
    world.settle()
    subscriber.forget()
    for alias in range(MANY):
        publisher.publish(alias, b"x")
    world.settle()
    (arrival,) = subscriber.read().arrivals
    assert subscriber.reader.streams[arrival.stream].stream == "wf/7"


def test_a_subscription_of_the_same_number_begins_anew() -> None:
    world, _ = world_of()
    subscriber = subscribed(world)
    world.take_one_step_a_turn()
    subscriber.unsubscribe(1)
    subscriber.subscribe("wf/*", 1)
    world.settle()
    assert receivers(world) == MANY


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.STATE, Kind.COLLABORATION])
def test_a_lost_connection_leaves_bit_by_bit(kind: Kind) -> None:
    world, publisher = world_of(kind)
    subscriber, other = subscribed(world), subscribed(world, "other")
    world.take_one_step_a_turn()
    subscriber.drop()
    world.turns(20)
    assert not is_idle(world)
    for alias in range(MANY):
        publisher.publish(alias, b"x")
    world.settle()
    assert world.core.hub.idle
    assert len(other.read().arrivals) == MANY
    assert not subscriber.session.connection.memberships
    if kind.acknowledged:
        again = world.subscriber("wf/*")
        world.settle()
        assert len(again.read().arrivals) == MANY
    else:
        assert receivers(world) == MANY


def test_views_and_observed_streams_are_left_bit_by_bit() -> None:
    world, _ = world_of(Kind.STATE)
    viewer = world.peer("viewer")
    viewer.subscribe("wf/*", 1, view=View(np.s_[1:]))
    world.settle()
    viewer.forget()
    views = world.core.hub.views
    world.take_one_step_a_turn()
    assert len(views) == MANY
    viewer.unsubscribe(1)
    world.turns(20)
    assert 0 < len(views) < MANY
    world.settle()
    assert not len(views)
    assert unsubscribed(viewer)
    viewer.subscribe("wf/*", 2, view=View(np.s_[1:]))
    world.settle()
    viewer.drop()
    world.settle()
    assert not len(views)

    world, _ = world_of(Kind.COLLABORATION)
    observer = subscribed(world, observe=True)
    world.take_one_step_a_turn()
    observer.unsubscribe(1)
    world.turns(20)
    assert 0 < world.core.hub.observations.receivers < MANY
    world.settle()
    assert not world.core.hub.observations.receivers
    assert unsubscribed(observer)


def test_a_stream_that_ends_while_it_is_being_left() -> None:
    world, _ = world_of(Kind.STATE)
    viewer = world.peer("viewer")
    viewer.subscribe("wf/*", 1, view=View(np.s_[1:]))
    viewer.subscribe("**", 2)
    world.settle()
    world.take_one_step_a_turn()
    viewer.drop()
    world.turns(3)
    for stream in list(world.core.streams):
        world.core.hub.end(stream, EndReason.DELETED)
    world.settle()
    assert world.core.hub.idle
    assert not len(world.core.hub.views)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("turns", [0, 12, 1000], ids=["being noted", "being announced", "joined"])
def test_tasks_of_a_subscription_that_ends_are_given_up_or_kept(keep: bool, lost: bool, turns: int) -> None:
    world, publisher = world_of(Kind.COLLABORATION)
    world.take_one_step_a_turn()
    worker = world.peer("worker")
    worker.subscribe("wf/*", 1)
    world.turns(turns)
    for alias in range(MANY):
        publisher.publish(alias, b"task")
    worker.unsubscribe(1, keep=keep)
    world.turns(20)
    if lost:
        world.core.disconnect(worker.session)
    world.settle()
    assert world.core.hub.idle
    fanouts = [fanout for fanout in world.core.hub.fanouts if isinstance(fanout, ConsumerFanout)]
    held = sum(consumer.pending for fanout in fanouts for consumer in fanout.consumers.values())
    # Tasks that are published before SUBSCRIBED are not for it.
    assert held == (MANY if keep and turns else 0)
    assert sum(len(fanout.consumers) for fanout in fanouts) == (MANY if keep else 0)


def test_a_worker_that_comes_back_before_its_lost_connection_has_left_counts_as_interrupted() -> None:
    world, publisher = world_of(Kind.COLLABORATION, ConsumerSettings(max_tries=1))
    worker = subscribed(world, "worker")
    for alias in range(MANY):
        publisher.publish(alias, b"task that kills its worker")
    world.settle()
    world.take_one_step_a_turn()
    worker.drop()
    again = world.subscriber("*/*", "worker")
    world.settle()
    reader = again.read()
    dead = {reader.streams[arrival.stream].stream for arrival in reader.arrivals}
    assert dead == {f"wf/{number}.dead" for number in range(MANY)}


def test_a_connection_that_is_closed_while_it_unsubscribes_keeps_the_tasks_of_its_other_subscription() -> None:
    world, publisher = world_of(Kind.COLLABORATION)
    worker = subscribed(world, "worker")
    worker.subscribe("**", 2)
    world.settle()
    for alias in range(MANY):
        publisher.publish(alias, b"task")
    world.settle()
    world.take_one_step_a_turn()
    worker.unsubscribe(1)
    world.turns(10)
    worker.session.connection.close(Code.SLOW_CONSUMER, "read faster")
    worker.drop()
    world.settle()
    assert is_idle(world)
    again = world.subscriber("**", "worker")
    world.settle()
    assert len(again.read().arrivals) == MANY


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.COLLABORATION])
def test_a_subscriber_that_has_left_is_not_told_of_the_end(kind: Kind) -> None:
    world, _ = world_of(kind)
    others = [subscribed(world, f"other-{number}") for number in range(30)]
    leaving = subscribed(world, "leaving")
    world.take_one_step_a_turn()
    stream = world.core.streams.get(StreamName("wf/4"))
    assert stream is not None
    leaving.unsubscribe(1)
    world.turns(3)
    world.core.hub.end(stream, EndReason.DELETED)
    world.settle()
    assert [info.stream for other in others for info in other.read().ended] == ["wf/4"] * len(others)
    assert unsubscribed(leaving)
    assert not leaving.reader.ended


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.COLLABORATION])
def test_a_stream_that_another_subscription_is_about_to_receive_stays(kind: Kind) -> None:
    world, publisher = world_of(kind)
    subscriber = world.peer()
    subscriber.subscribe("wf/7", 1)
    subscriber.subscribe("*/*", 2)
    world.take_one_step_a_turn()
    while len(subscriber.read().log) < 3:
        world.turns(1)
    for alias in range(MANY):
        publisher.publish(alias, b"x")
    subscriber.unsubscribe(1)
    world.settle()
    assert unsubscribed(subscriber)
    reader = subscriber.read()
    assert {reader.streams[arrival.stream].stream for arrival in reader.arrivals} == {f"wf/{n}" for n in range(MANY)}
    subscriber.unsubscribe(2)
    world.settle()
    assert not subscriber.session.connection.memberships


def test_a_connection_that_is_closed_while_it_unsubscribes_is_under_way_until_it_has_left_all() -> None:
    world, _ = world_of()
    subscriber = subscribed(world)
    subscriber.subscribe("**", 2)
    world.settle()
    world.take_one_step_a_turn()
    subscriber.unsubscribe(1)
    world.turns(10)
    subscriber.session.connection.close(Code.SLOW_CONSUMER, "read faster")
    subscriber.drop()
    while receivers(world):
        assert not is_idle(world)
        world.turns(1)
    world.settle()
    assert is_idle(world)


SUBSCRIPTIONS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "states": (Kind.STATE, {}),
    "events": (Kind.EVENT, {}),
    "tasks": (Kind.COLLABORATION, {}),
    "commands": (Kind.CONTROL, {}),
    "view": (Kind.STATE, {"view": View(np.s_[1:])}),
    "view of events": (Kind.EVENT, {"view": View(dtype="float32")}),
    "observed": (Kind.COLLABORATION, {"observe": True}),
}


@pytest.mark.parametrize("pattern", ["wf/0", "wf/*"])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("subscription", SUBSCRIPTIONS)
def test_nothing_of_a_stream_that_has_ended_comes_behind_unsubscribed(
    subscription: str, keep: bool, pattern: str
) -> None:
    kind, options = SUBSCRIPTIONS[subscription]
    world = World()
    publisher = world.publisher("wf/0", kind=kind)
    peers = [world.peer(f"peer-{number}") for number in range(3 * STEPS_AT_ONCE)]
    for peer in peers:
        peer.subscribe(pattern, 1, **options)
    publisher.publish(0, b"x")
    world.settle()
    for peer in peers:
        peer.forget()
    world.take_one_step_a_turn()
    stream = world.core.streams.get(StreamName("wf/0"))
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    untold = [peer for peer in peers if not peer.read().ended]
    assert 0 < len(untold) < len(peers)
    for peer in untold:
        peer.unsubscribe(1, keep=keep)
    world.settle()
    for peer in untold:
        assert [type(entry) for entry in peer.read().log] == [Unsubscribed]
        assert not peer.session.connection.memberships
        assert not peer.session.connection.accounts.count
    assert world.core.hub.idle
    assert not world.core.hub.fanouts.ending


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS)
def test_an_end_that_waits_behind_messages_does_not_come_behind_unsubscribed(subscription: str) -> None:
    kind, options = SUBSCRIPTIONS[subscription]
    world = World()
    names = [StreamName(f"wf/{number}") for number in range(MANY)]
    publisher = world.publisher(*names, "wf/stays", kind=kind)
    peer = world.peer()
    peer.subscribe("wf/*", 1, **options)
    world.settle()
    peer.forget()
    peer.session.connection.pause_writing()
    for alias in range(MANY):
        publisher.publish(alias, b"xx")
    world.settle()
    for name in names:
        stream = world.core.streams.get(name)
        assert stream is not None
        world.core.hub.end(stream, EndReason.DELETED)
    world.settle()
    world.take_one_step_a_turn()
    peer.unsubscribe(1)
    peer.subscribe("wf/*", 1, **options)  # the ends are none of its concern
    world.settle()
    peer.session.connection.resume_writing()
    world.settle()
    log = peer.read().log
    at = next(at for at, entry in enumerate(log) if isinstance(entry, Unsubscribed))
    assert [entry.stream for entry in log[at:] if isinstance(entry, StreamInfo)] == ["wf/stays"]
    assert not peer.session.connection.accounts.ends_waiting


def test_an_end_that_waits_is_told_if_another_subscription_of_the_stream_stands() -> None:
    world = World()
    world.publisher("wf/0", "wf/1")
    peer = world.subscriber("wf/*")
    peer.subscribe("wf/0", 2)
    peer.forget()
    peer.session.connection.pause_writing()
    for stream in list(world.core.streams):
        world.core.hub.end(stream, EndReason.DELETED)
    world.settle()
    peer.unsubscribe(1)
    peer.session.connection.resume_writing()
    world.settle()
    assert [info.stream for info in peer.read().ended] == ["wf/0"]


def test_a_stream_that_has_ended_is_not_kept_for_a_subscription_to_which_it_was_not_announced() -> None:
    world, _ = world_of(Kind.EVENT)
    others = [subscribed(world, f"other-{number}") for number in range(3 * STEPS_AT_ONCE)]
    peer = world.peer()
    peer.subscribe("wf/0", 1)
    peer.forget()
    world.take_one_step_a_turn()
    peer.subscribe("**", 2)
    while not peer.session.connection.announcements:
        world.turns(1)
    while not peer.read().log:
        world.turns(1)
    stream = world.core.streams.get(StreamName("wf/0"))
    assert stream is not None
    peer.session.connection.pause_writing()
    world.core.hub.end(stream, EndReason.DELETED)
    assert stream in peer.session.connection.memberships
    peer.unsubscribe(1)
    peer.session.connection.resume_writing()
    world.settle()
    assert all(other.read().ended for other in others)
    assert not peer.read().ended


def test_a_text_client_is_not_told_of_an_end_behind_unsubscribed() -> None:
    world = World()
    world.publisher("wf/0")
    peers = [TextPeer(world) for _ in range(3 * STEPS_AT_ONCE)]
    for number, peer in enumerate(peers):
        hello = {"message_type": "hello", "client_type": "agent", "payload": {"versions": [1]}}
        peer.send(orjson.dumps({**hello, "client_id": f"peer-{number}"}))
        peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*"}}')
    world.settle()
    for peer in peers:
        peer.texts()
    peers[-1].session.connection.pause_writing()
    (stream,) = world.core.streams
    world.core.hub.end(stream, EndReason.DELETED)
    for peer in peers[-2:]:
        peer.send('{"id":2,"message_type":"unsubscribe","payload":{"subscription":1}}')
    world.settle()
    peers[-1].session.connection.resume_writing()
    world.settle()
    types = [[orjson.loads(text)["message_type"] for text in peer.texts()] for peer in peers]
    assert types == [["stream"]] * (len(peers) - 2) + [["unsubscribed"]] * 2
