"""Hub: who receives which streams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind, StreamInfo, Subscribed, Unsubscribe, Unsubscribed
from gateway.protocol.names import compile_pattern
from tests.connections.memory import Peer, World


def announced(peer: Peer) -> list[str]:
    return [entry.stream for entry in peer.read().log if isinstance(entry, StreamInfo)]


@pytest.mark.parametrize("pattern", ["wf/a", "wf/*", "**", "*/a", "wf/**"])
@pytest.mark.parametrize("late", [False, True])
def test_a_pattern_that_matches(pattern: str, late: bool) -> None:
    world = World()
    publisher = world.publisher("wf/a", "other/stream/b") if late else world.publisher()
    subscriber = world.subscriber(pattern)
    if not late:
        publisher.open(0, "wf/a")
        publisher.open(1, "other/stream/b")
    publisher.publish(0, b"x")
    world.settle()
    assert "wf/a" in announced(subscriber)
    assert len(subscriber.reader.arrivals) == 1
    assert ("other/stream/b" in announced(subscriber)) == (pattern == "**")


def test_the_answer_comes_before_the_streams_and_they_before_their_messages() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish(0, b"newest")
    subscriber = world.subscriber("wf/*")
    world.settle()
    first, second, third = subscriber.read().log
    assert isinstance(first, Subscribed)
    assert isinstance(second, StreamInfo)
    assert (second.offset, second.alias) == (1, None)
    assert third == subscriber.reader.arrivals[0]


def test_overlapping_subscriptions_deliver_once() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = world.subscriber("wf/*")
    subscriber.subscribe("wf/a")
    subscriber.subscribe("**")
    publisher.publish(0, b"x")
    world.settle()
    assert len(subscriber.read().arrivals) == 1


@given(
    patterns=st.lists(st.sampled_from(["wf/a", "wf/b", "wf/*", "**", "*/b"]), min_size=1, max_size=5),
    removed=st.data(),
)
def test_a_stream_stays_as_long_as_one_subscription_matches(patterns: list[str], removed: st.DataObject) -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    subscriber = world.peer()
    numbers = {subscriber.subscribe(pattern): pattern for pattern in patterns}
    for number in removed.draw(st.permutations(sorted(numbers))):
        subscriber.say(Unsubscribe(100 + number, number))
        del numbers[number]
        subscriber.forget()
        publisher.publish(0, b"x")
        publisher.publish(1, b"x")
        world.settle()
        got = {subscriber.reader.streams[arrival.stream].stream for arrival in subscriber.read().arrivals}
        expected = {
            name for name in ("wf/a", "wf/b") if any(compile_pattern(p).matches(name) for p in numbers.values())
        }
        assert got == expected
    publisher.open(7, "wf/c")
    publisher.publish(7, b"x")
    world.settle()
    assert not subscriber.news().log


def test_unsubscribing_is_answered_and_drops_what_waits() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = world.subscriber("wf/a")
    subscriber.transport.fill_up()
    publisher.publish(0, b"waits")
    world.settle()
    subscriber.say(Unsubscribe(5, 1))
    subscriber.transport.read_on()
    world.settle()
    assert not subscriber.read().arrivals
    assert isinstance(subscriber.reader.log[-1], Unsubscribed)


def test_whoever_leaves_is_forgotten() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    for pattern in ("wf/a", "wf/*"):
        world.subscriber(pattern).drop()
    publisher.open(1, "wf/b")
    publisher.publish(0, b"x")
    publisher.publish(1, b"x")
    world.settle()
    assert not any(fanout.receivers for fanout in world.core.hub.fanouts)


def test_a_subscriber_that_goes_in_the_turn_of_a_message_is_written_nothing_more() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    leaving, staying = world.subscriber("wf/a", "leaving"), world.subscriber("wf/a", "staying")
    publisher.publish(0, b"x")
    leaving.transport.close(1000, "gone")
    leaving.drop()
    world.settle()
    assert not leaving.transport.late
    assert len(staying.read().arrivals) == 1


def test_ids_are_the_same_on_all_connections() -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    one, two = world.subscriber("**", "one"), world.subscriber("wf/b", "two")
    publisher.publish(1, b"x")
    world.settle()
    assert one.read().stream_id("wf/b") == two.read().stream_id("wf/b") == one.reader.arrivals[0].stream


def test_too_many_streams() -> None:
    world = World(limits=Limits(max_streams=1))
    publisher = world.publisher("wf/a")
    publisher.open(1, "wf/b")
    publisher.open(2, "wf/a")
    assert [error.error for error in publisher.read().errors] == ["LIMIT_EXCEEDED"]
    assert len(world.core.streams) == 1
