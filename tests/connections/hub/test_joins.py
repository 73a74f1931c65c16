"""Pending joins: many streams are announced bit by bit, and nothing that is published meanwhile is missed."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from gateway.connections.hub.joins import FEW, READERS_AT_ONCE
from gateway.connections.hub.pending_joins import JOINS_A_STEP
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.limits import Limits
from gateway.protocol.messages import (
    ClientType,
    EndReason,
    Error,
    Hello,
    Kind,
    Open,
    StreamInfo,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Ping, Pong
from gateway.protocol.views import View
from gateway.streams.history import HistoryLimits
from tests.connections.memory import Peer, TextPeer, World

MANY = 3 * FEW
NOTHING_KEPT = HistoryLimits(max_messages=0, max_bytes=0)


def names(count: int = MANY) -> list[str]:
    return [f"wf/{number}" for number in range(count)]


def world_of(kind: Kind = Kind.EVENT, count: int = MANY, history: HistoryLimits | None = None) -> tuple[World, Peer]:
    """A world of many streams, one step of long work a turn, and their publisher."""
    world = World(history=history, delivery=DeliverySettings(urgent_limit_bytes=16 * 1024))
    publisher = world.publisher(*names(count), kind=kind)
    world.settle()
    publisher.forget()
    world.take_one_step_a_turn()
    return world, publisher


def announced(peer: Peer) -> list[str]:
    return [entry.stream for entry in peer.read().log if isinstance(entry, StreamInfo)]


def turn_until_subscribed(world: World, peer: Peer) -> None:
    while not any(isinstance(entry, Subscribed) for entry in peer.read().log):
        assert not announced(peer)
        world.turns(1)


def test_few_streams_are_announced_at_once() -> None:
    world, _ = world_of(count=FEW)
    subscriber = world.subscriber("wf/*")
    assert announced(subscriber) == names(FEW)
    assert world.core.hub.idle


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT, Kind.COLLABORATION])
@pytest.mark.parametrize("view", [None, View(np.s_[1:])])
@pytest.mark.parametrize("waiting", [False, True], ids=["alone", "behind_another"])
def test_a_stream_that_is_opened_before_subscribed_is_announced_behind_it(
    kind: Kind, view: View | None, *, waiting: bool
) -> None:
    world, publisher = world_of(kind)
    peer = world.peer()
    if waiting:
        peer.subscribe("wf/*", 1)
        turn_until_subscribed(world, peer)
    peer.subscribe("**", 2, view=view)
    opened: list[str] = []
    log: list[object] = []
    while Subscribed(peer.last_request, 2) not in log:
        opened.append(f"new/{len(opened)}")
        publisher.open(MANY + len(opened), opened[-1], kind)
        world.turns(1)
        log += peer.news().log
    at = log.index(Subscribed(peer.last_request, 2))
    new = [each.stream for each in log[:at] if isinstance(each, StreamInfo) and each.stream in opened]
    assert not new
    world.settle()
    log += peer.news().log
    viewable = view is None or kind is not Kind.COLLABORATION
    assert Counter(each.stream for each in log if isinstance(each, StreamInfo) and each.stream in opened) == (
        Counter(opened if viewable else ())
    )


def test_subscriptions_that_wait_do_not_each_list_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = world_of()
    monkeypatch.setattr("gateway.connections.hub.joins.LISTED", 10)
    monkeypatch.delattr("gateway.streams.stream_registry.StreamRegistry.candidates")
    subscriber = world.peer("subscriber")
    for _ in range(3):
        subscriber.subscribe("wf/*")
    world.settle()
    assert Counter(announced(subscriber)) == Counter(names() * 3)


@pytest.mark.parametrize("pattern", ["wf/*", "**", "*/*"])
def test_many_are_announced_once_each_behind_the_answer(pattern: str) -> None:
    world, _ = world_of()
    subscriber = world.subscriber(pattern)
    assert not subscriber.read().log
    turn_until_subscribed(world, subscriber)
    assert not world.core.hub.idle
    world.turns(MANY // JOINS_A_STEP // 2)
    assert 0 < len(announced(subscriber)) < MANY
    world.settle()
    assert sorted(announced(subscriber)) == sorted(names())
    assert world.core.hub.idle


def test_a_pattern_that_few_of_many_streams_match_is_answered() -> None:
    world, _ = world_of()
    subscriber = world.subscriber("*/17")
    world.settle()
    first, second = subscriber.read().log
    assert isinstance(first, Subscribed)
    assert isinstance(second, StreamInfo)
    assert second.stream == "wf/17"


def test_frames_behind_the_request_wait_for_its_answer() -> None:
    world, _ = world_of()
    subscriber = world.peer("subscriber")
    subscriber.send(write_session(Subscribe(1, 1, "wf/*")), Ping(7).write())
    turn_until_subscribed(world, subscriber)
    assert not any(isinstance(entry, Pong) for entry in subscriber.reader.log)
    world.turns(2)
    assert any(isinstance(entry, Pong) for entry in subscriber.read().log)
    assert len(announced(subscriber)) < MANY, "but they do not wait for the streams"


@pytest.mark.parametrize("history", [None, NOTHING_KEPT], ids=["kept", "not kept"])
def test_an_event_that_is_published_behind_the_answer_is_delivered(history: HistoryLimits | None) -> None:
    world, publisher = world_of(history=history)
    for alias in range(MANY):
        publisher.publish(alias, b"before")
    world.turns(2)
    subscriber = world.subscriber("wf/*")
    turn_until_subscribed(world, subscriber)
    for _ in range(2):
        for alias in range(MANY):
            publisher.publish(alias, b"behind")
        world.turns(5)
    world.settle()
    reader = subscriber.read()
    assert Counter(reader.streams[arrival.stream].stream for arrival in reader.arrivals) == dict.fromkeys(names(), 2)
    assert {info.since for info in reader.streams.values()} == {1}
    assert not reader.gaps
    assert all(not fanout.taps for fanout in map(world.core.hub.fanouts.pubsub_of, world.core.streams))


def test_a_large_message_does_not_wait_for_its_stream_to_have_its_turn() -> None:
    world, publisher = world_of()
    subscriber = world.subscriber("wf/*")
    turn_until_subscribed(world, subscriber)
    publisher.large(MANY - 1, bytes(200_000)).end()
    world.turns(3)
    (arrival,) = subscriber.read().arrivals
    assert subscriber.reader.streams[arrival.stream].stream == f"wf/{MANY - 1}"
    world.settle()
    assert len(announced(subscriber)) == MANY
    assert len(subscriber.reader.arrivals) == 1


def test_a_state_begins_with_the_newest_version_whenever_it_is_joined() -> None:
    world, publisher = world_of(Kind.STATE)
    for alias in range(MANY):
        publisher.publish(alias, b"before")
    world.turns(2)
    subscriber = world.subscriber("wf/*")
    turn_until_subscribed(world, subscriber)
    world.turns(MANY // JOINS_A_STEP // 2)
    for alias in range(MANY):
        publisher.publish(alias, b"behind")
    world.settle()
    assert len(subscriber.read().newest) == MANY
    assert {newest.payload for newest in subscriber.reader.newest.values()} == {b"behind"}


def test_a_task_that_is_published_behind_the_answer_is_kept_for_the_client() -> None:
    world, publisher = world_of(Kind.COLLABORATION)
    subscriber = world.subscriber("wf/*")
    turn_until_subscribed(world, subscriber)
    for alias in range(MANY):
        publisher.publish(alias, b"task")
    world.turns(5)
    subscriber.drop()
    again = world.subscriber("wf/*")
    world.settle()
    assert len(again.read().arrivals) == MANY


def test_acknowledged_streams_are_joined_before_all_others() -> None:
    world, publisher = world_of()
    publisher.open(MANY, "wf/tasks", Kind.COLLABORATION)
    world.settle()
    subscriber = world.subscriber("wf/*")
    turn_until_subscribed(world, subscriber)
    world.turns(2)
    assert announced(subscriber)[0] == "wf/tasks"


def test_observed_streams_miss_nothing_either() -> None:
    world, publisher = world_of(Kind.COLLABORATION)
    observer = world.peer("observer")
    observer.subscribe("wf/*", observe=True)
    turn_until_subscribed(world, observer)
    for alias in range(MANY):
        publisher.publish(alias, b"task")
    world.settle()
    assert len(observer.read().arrivals) == MANY
    assert {info.observed for info in observer.reader.streams.values()} == {True}
    assert not observer.reader.gaps


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.STATE])
@pytest.mark.parametrize("history", [None, NOTHING_KEPT], ids=["kept", "not kept"])
def test_views_miss_nothing_either(kind: Kind, history: HistoryLimits | None) -> None:
    world, publisher = world_of(kind, FEW + 10, history)
    viewer = world.peer("viewer")
    viewer.subscribe("wf/*", view=View(np.s_[1:]))
    turn_until_subscribed(world, viewer)
    for alias in range(FEW + 10):
        publisher.publish(alias, b"abc")
    world.settle()
    reader = viewer.read()
    assert len(announced(viewer)) == FEW + 10
    assert [arrival.payload for arrival in reader.arrivals] == [b"bc"] * (FEW + 10)
    assert not reader.gaps
    viewer.drop()
    world.settle()
    assert not len(world.core.hub.views)


def test_a_stream_that_is_opened_meanwhile_is_announced_behind_the_answer() -> None:
    world, publisher = world_of()
    subscriber = world.subscriber("wf/*")
    world.turns(1)
    publisher.open(MANY, "wf/new", Kind.EVENT)
    publisher.publish(MANY, b"first")
    turn_until_subscribed(world, subscriber)
    world.settle()
    assert sorted(announced(subscriber)) == sorted([*names(), "wf/new"])
    assert [arrival.offset for arrival in subscriber.reader.arrivals] == [0]


def test_a_stream_that_ends_meanwhile_is_left_out() -> None:
    world, _ = world_of()
    hub, streams = world.core.hub, world.core.streams
    subscriber = world.subscriber("wf/*")
    world.turns(1)
    ended = [streams.get(StreamName(f"wf/{number}")) for number in (MANY - 1, MANY - 2)]
    assert ended[0] is not None
    hub.end(ended[0], EndReason.DELETED)
    turn_until_subscribed(world, subscriber)
    assert ended[1] is not None
    hub.end(ended[1], EndReason.DELETED)
    world.settle()
    assert len(announced(subscriber)) == MANY - 2


def test_announcements_wait_for_a_slow_reader() -> None:
    world, _ = world_of(count=300)
    subscriber = world.subscriber("wf/*")
    subscriber.transport.stalled = True
    world.settle()
    assert 0 < len(announced(subscriber)) < 300
    while subscriber.transport.full:
        subscriber.transport.empty()
        world.settle()
    assert sorted(announced(subscriber)) == sorted(names(300))
    assert subscriber.close_code() is None


def test_a_slow_reader_gets_live_messages_and_announcements_in_turn() -> None:
    world, publisher = world_of(count=1000)
    publisher.open(1000, "live/a", Kind.EVENT)
    subscriber = world.subscriber("live/a")
    subscriber.transport.stalled = True
    subscriber.subscribe("wf/*")
    before, ends = 0, set()
    while len(announced(subscriber)) < 1001:
        for _ in range(10):
            publisher.publish(1000, bytes(5000))
        world.settle()
        if len(subscriber.read().arrivals) > before:
            before = len(subscriber.reader.arrivals)
            ends.add(len(announced(subscriber)))
        subscriber.transport.empty()
    assert len(ends) > 3, "live messages came between the streams"
    while subscriber.transport.full:
        subscriber.transport.empty()
        world.settle()
    assert subscriber.read().offsets == list(range(len(subscriber.reader.offsets)))


@pytest.mark.parametrize("text", [False, True])
def test_streams_that_others_open_in_a_burst_do_not_close_a_slow_reader(text: bool) -> None:
    world, publisher = world_of(count=0)
    subscriber: Peer | TextPeer
    if text:
        subscriber = TextPeer(world)
        subscriber.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
        subscriber.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"**"}}')
    else:
        subscriber = world.subscriber("**")
    subscriber.transport.fill_up()
    for number in range(1000):
        publisher.open(number, f"wf/{number}", Kind.EVENT)
        publisher.publish(number, b"first")
    world.settle()
    subscriber.transport.read_on()
    world.settle()
    assert subscriber.transport.closed is None
    if isinstance(subscriber, TextPeer):
        types = Counter(json.loads(line)["message_type"] for line in subscriber.texts())
        assert (types["stream"], types["message"]) == (1000, 1000)
    else:
        assert len(announced(subscriber)) == len(subscriber.reader.arrivals) == 1000


def test_a_stream_that_very_many_receive_is_announced_bit_by_bit() -> None:
    world, publisher = world_of(count=0)
    readers = [world.subscriber("wf/*", f"reader-{number}") for number in range(READERS_AT_ONCE + 1)]
    publisher.open(0, "wf/a", Kind.EVENT)
    publisher.publish(0, b"first")
    assert not any(announced(reader) for reader in readers)
    world.settle()
    assert all(announced(reader) == ["wf/a"] for reader in readers)
    assert all(reader.reader.offsets == [0] for reader in readers)


def test_a_second_subscription_of_the_same_streams_waits_for_the_first() -> None:
    world, publisher = world_of()
    subscriber = world.peer("subscriber")
    subscriber.subscribe("wf/*")
    subscriber.subscribe("**", since="beginning")
    turn_until_subscribed(world, subscriber)
    for alias in range(MANY):
        publisher.publish(alias, b"x")
    world.settle()
    log = subscriber.read().log
    answers = [at for at, entry in enumerate(log) if isinstance(entry, Subscribed)]
    assert len([entry for entry in log[: answers[1]] if isinstance(entry, StreamInfo)]) == MANY
    assert len([entry for entry in log[answers[1] :] if isinstance(entry, StreamInfo)]) == MANY
    got = {(arrival.stream, arrival.offset) for arrival in subscriber.reader.arrivals}
    assert len(got) == MANY


def test_what_a_client_publishes_does_not_wait_behind_a_second_subscription_of_many_streams() -> None:
    world, _ = world_of()
    subscriber = world.peer("subscriber")
    subscriber.subscribe("wf/*")
    turn_until_subscribed(world, subscriber)
    subscriber.transport.fill_up()
    for number in range(2, 5):
        subscriber.send(write_session(Subscribe(number, number, "**")))
    subscriber.send(write_session(Unsubscribe(9, 3)))
    subscriber.open(0, "own/event", Kind.EVENT)
    subscriber.publish(0, b"x")
    world.settle()
    stream = world.core.streams.get(StreamName("own/event"))
    assert stream is not None
    assert stream.next_offset == 1
    subscriber.transport.read_on()
    world.settle()
    log = subscriber.read().log
    assert [entry.request for entry in log if isinstance(entry, Subscribed)] == [1, 2, 4]
    assert [entry.request for entry in log if isinstance(entry, Unsubscribed)] == [9]
    streams = Counter(announced(subscriber))
    assert {streams[name] for name in names()} == {3}


@pytest.mark.parametrize(("bound", "value"), [("MAX_SUBSCRIBES", 2), ("MAX_POSITIONS", 25)])
def test_nothing_is_read_behind_one_subscription_too_many_that_waits(
    bound: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"gateway.connections.hub.joins.{bound}", value)
    world, _ = world_of()
    subscriber = world.peer("subscriber")
    subscriber.subscribe("wf/*")
    turn_until_subscribed(world, subscriber)
    subscriber.transport.fill_up()
    since = dict.fromkeys(names(10), (1, 1))
    for number in range(2, 4):
        subscriber.send(write_session(Subscribe(number, number, "**", since=since)))
    world.settle()
    assert subscriber.transport.is_reading()
    subscriber.send(write_session(Subscribe(4, 4, "**", since=since)))
    world.settle()
    assert not subscriber.transport.is_reading()
    subscriber.transport.read_on()
    world.settle()
    assert {entry.request for entry in subscriber.read().log if isinstance(entry, Subscribed)} == {1, 2, 3, 4}
    assert subscriber.transport.is_reading()


def test_subscriptions_of_a_lost_client_that_wait_are_given_up() -> None:
    world, _ = world_of()
    for turns in range(12):
        subscriber = world.peer("subscriber")
        subscriber.subscribe("wf/*")
        turn_until_subscribed(world, subscriber)
        for number in range(2, 5):
            subscriber.send(write_session(Subscribe(number, number, "**")))
        world.turns(10 * turns)
        subscriber.drop()
        world.settle()
        assert world.core.hub.idle


def test_a_stream_that_waits_is_joined_when_another_subscription_names_it() -> None:
    world, _ = world_of()
    subscriber = world.subscriber("wf/*")
    turn_until_subscribed(world, subscriber)
    subscriber.forget()
    subscriber.subscribe(f"wf/{MANY - 1}", since="beginning")
    first, second, third = subscriber.read().log
    assert isinstance(first, StreamInfo)
    assert isinstance(second, Subscribed)
    assert isinstance(third, StreamInfo)
    assert (first.stream, first.recovered, third.recovered) == (third.stream, None, True)
    world.settle()
    assert announced(subscriber).count(f"wf/{MANY - 1}") == 2


def test_a_lost_connection_leaves_nothing() -> None:
    world, publisher = world_of()
    for turns in (1, 8, 12, 60):
        subscriber = world.subscriber("wf/*")
        world.turns(turns)
        subscriber.drop()
        world.settle()
        assert world.core.hub.idle
        for stream in world.core.streams:
            fanout = world.core.hub.fanouts.pubsub_of(stream)
            assert not fanout.taps
            assert not fanout.receivers
    publisher.publish(0, b"x")
    world.settle()


def test_a_refused_view_of_many_streams_is_told_for_each() -> None:
    world, _ = world_of(Kind.COLLABORATION)
    viewer = world.peer("viewer")
    viewer.subscribe("wf/*", view=View(np.s_[1:]))
    world.settle()
    assert viewer.read().codes == [Code.INVALID_VIEW] * MANY


def test_refusals_wait_for_a_client_that_reads_slowly() -> None:
    world = World(limits=Limits(max_subscribed_streams=1), delivery=DeliverySettings(urgent_limit_bytes=16 * 1024))
    refused = names(1000)
    world.publisher("first/one", *refused, kind=Kind.COLLABORATION)
    subscriber = world.subscriber("first/one")
    world.settle()
    subscriber.forget()
    subscriber.transport.fill_up()
    subscriber.send(write_session(Subscribe(2, 2, "wf/*")))
    log = subscriber.reader.log
    while not any(isinstance(entry, Subscribed) for entry in log):
        before = len(log)
        world.settle()
        assert subscriber.close_code() is None
        assert before < len(subscriber.read().log) < before + len(refused) // 2
        subscriber.transport.empty()
    assert [type(entry) for entry in log] == [*([Error] * len(refused)), Subscribed]


def test_a_hello_with_requests_behind_it_is_served_in_order() -> None:
    world, _ = world_of()
    peer = world.stranger()
    peer.say(Hello((1,), ClientType.AGENT), Subscribe(1, 1, "wf/*"), Open(0, "wf/opened", Kind.EVENT))
    world.settle()
    log = peer.read().log
    at = next(at for at, entry in enumerate(log) if isinstance(entry, Subscribed))
    opened = [place for place, entry in enumerate(log) if isinstance(entry, StreamInfo) and entry.alias == 0]
    assert at < opened[0]
    assert announced(peer).count("wf/opened") == 2


@pytest.mark.parametrize("since", [None, "beginning"])
def test_nothing_is_announced_before_the_answer_though_history_keeps_no_message(since: str | None) -> None:
    world, publisher = world_of(history=NOTHING_KEPT)
    subscriber = world.peer("subscriber")
    subscriber.subscribe("wf/*", since=since)
    world.turns(4)
    for alias in range(MANY):
        publisher.publish(alias, b"before")
    turn_until_subscribed(world, subscriber)
    for alias in range(MANY):
        publisher.publish(alias, b"behind")
    world.settle()
    reader = subscriber.read()
    assert Counter(arrival.payload for arrival in reader.arrivals) == {b"behind": MANY}
    if since is None:
        assert not reader.gaps
    else:
        assert reader.gaps, "it has asked for what history does not keep"


def test_a_large_message_before_the_answer_has_nothing_announced_either() -> None:
    world, publisher = world_of()
    subscriber = world.subscriber("wf/*")
    world.turns(4)
    publisher.large(0, bytes(200_000)).end()
    turn_until_subscribed(world, subscriber)
    world.settle()
    assert sorted(announced(subscriber)) == sorted(names())


def test_an_observed_stream_that_ends_before_its_turn_is_not_announced() -> None:
    world, _ = world_of(Kind.COLLABORATION)
    name = StreamName(f"wf/{MANY - 1}")
    late = world.peer("late")
    observers = [world.peer(f"observer-{number}") for number in range(20)]
    late.subscribe("wf/*", observe=True)
    turn_until_subscribed(world, late)
    for observer in observers:
        observer.subscribe(name, observe=True)
    stream = world.core.streams.get(name)
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    world.settle()
    assert name not in announced(late)
    assert len(late.session.connection.memberships) == MANY - 1


def test_clients_that_do_not_read_their_announcements_are_closed_before_they_hold_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.connections.hub.joins.MAX_ALL_WAITING", 2 * MANY)
    world, _ = world_of()
    stalled = [world.peer(f"stalled-{number}") for number in range(4)]
    for peer in stalled:
        peer.transport.fill_up()
        peer.subscribe("wf/*")
        world.settle()
    reader = world.subscriber("wf/*", "reader")
    world.settle()
    assert sorted(announced(reader)) == sorted(names())
    assert [peer.close_code() for peer in stalled].count(Code.SLOW_CONSUMER) == 3
    for peer in stalled:
        peer.drop()
    world.settle()
    assert world.core.hub.idle
    again = [world.subscriber("wf/*", f"again-{number}") for number in range(2)]
    world.settle()
    assert all(len(announced(peer)) == MANY for peer in again), "those that are gone do not count"
