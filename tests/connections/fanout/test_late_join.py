"""A receiver that comes when a message is there already gets it in a form that it takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gateway.connections.fanout.delivery_class import MANY_OWED, DeliveryClass
from gateway.connections.input_budget import INPUT_S
from gateway.connections.outbound.connection import Connection
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind, Refresh
from gateway.streams.run import Run
from tests.connections.memory import EVERY_CODEC, Peer, World
from tests.connections.patches import PATCH_CODECS, STREAM, Publisher, Receiver

LZ4 = Chain(codec="lz4")
ZSTD = Chain(codec="zstd")
NOISE = np.random.default_rng(7).bytes(80 * 1024)
MIDDLE = NOISE[: 10 * 1024] + bytes(10 * 1024)
"""Decoded at once."""
BIG = NOISE + bytes(80 * 1024)
"""Decoded in a thread."""


def payloads(peer: Peer) -> list[bytes]:
    return [arrival.payload for arrival in peer.read().arrivals]


@pytest.mark.parametrize("codecs", [(), ("lz4",), EVERY_CODEC])
@pytest.mark.parametrize("size", [50, 2000, 20_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_the_newest_state(codecs: tuple[str, ...], size: int, chunked: bool) -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    payload = bytes(size - 1) + b"!"
    chain = LZ4
    if chunked:
        publisher.large(0, payload, chain=chain).end()
    else:
        publisher.publish(0, payload, chain=chain)
    world.settle()
    subscriber = world.subscriber("wf/a", codecs=codecs)
    world.settle()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [payload]


def test_the_last_record_of_a_batch() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.send(publisher.batch(0, [b"one", b"two"]))
    world.settle()
    subscriber = world.subscriber("wf/a")
    world.settle()
    assert [(arrival.offset, arrival.payload) for arrival in subscriber.read().arrivals] == [(1, b"two")]


def test_a_large_message_under_way_comes_when_it_is_whole() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.EVENT)
    large = publisher.large(0, bytes(20_000))
    large.chunk()
    subscriber = world.subscriber("wf/a")
    large.end()
    world.settle()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [bytes(20_000)]


def test_who_joins_while_a_message_is_decoded_gets_what_it_can_decode() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    other = world.subscriber("wf/a", "other", ("lz4",))
    publisher.publish(0, BIG, chain=ZSTD)
    late = world.subscriber("wf/a", "late")
    world.settle()
    assert payloads(other) == [BIG]
    assert payloads(late) == [BIG]


def test_who_joins_while_the_queue_is_busy_gets_what_it_can_decode() -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    other = world.subscriber("wf/a", "other", ("lz4",))
    publisher.publish(0, BIG, chain=ZSTD)
    publisher.publish(0, MIDDLE, chain=LZ4)
    late = world.subscriber("wf/a", "late")
    world.settle()
    assert payloads(other) == [BIG, MIDDLE]
    assert payloads(late) == [BIG, MIDDLE]


def test_joining_a_state_does_not_book_for_every_member(monkeypatch: pytest.MonkeyPatch) -> None:
    booked: list[object] = []
    book = DeliveryClass.book

    def counted(delivery: DeliveryClass, member: Connection) -> None:
        booked.append(member)
        book(delivery, member)

    monkeypatch.setattr(DeliveryClass, "book", counted)
    counts: list[int] = []
    for others in (3, 30):
        world = World()
        publisher = world.publisher("wf/a", kind=Kind.STATE)
        members = [world.subscriber("wf/a", f"member-{number}") for number in range(others)]
        publisher.publish(0, b"one")
        world.settle()
        booked.clear()
        late = world.subscriber("wf/a", "late")
        counts.append(len(booked))
        world.settle()
        assert [payloads(peer) for peer in (*members, late)] == [[b"one"]] * (others + 1)
    assert counts[0] == counts[1]


# Receivers that come, or come back to the present, when a version is there already.


def state() -> tuple[World, Peer]:
    """A gateway with one state and its publisher."""
    world = World()
    return world, world.publisher("wf/a", kind=Kind.STATE)


def refresh(peer: Peer) -> None:
    """Ask for the newest version."""
    peer.say(Refresh(peer.read().stream_id("wf/a")))


def test_a_state_that_is_asked_for_again_comes_again_and_counts_as_delivered() -> None:
    world, publisher = state()
    subscriber = world.subscriber("wf/a")
    publisher.publish(0, b"only")
    world.settle()
    refresh(subscriber)
    world.settle()
    assert payloads(subscriber) == [b"only", b"only"]
    connection = subscriber.session.connection
    (delivery,) = connection.memberships.values()
    assert isinstance(delivery, DeliveryClass)
    assert delivery.delivered_messages == 2


def test_a_large_state_that_one_receiver_does_not_take_is_a_gap_for_that_receiver() -> None:
    world, publisher = state()
    publisher.large(0, bytes(20_000)).end()
    world.settle()
    small, unlimited = world.peer("small"), world.peer("unlimited")
    small.session.connection.max_message_bytes = 19_999
    for peer in (small, unlimited):
        peer.subscribe("wf/a")
    world.settle()
    assert payloads(unlimited) == [bytes(20_000)]
    assert payloads(small) == []
    assert [(gap.code, gap.first, gap.last) for gap in small.reader.gaps] == [(Code.MESSAGE_TOO_BIG, 0, 0)]
    publisher.publish(0, b"small")
    world.settle()
    assert payloads(small) == [b"small"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_newest_version_that_does_not_decode_is_a_gap_for_a_receiver_without_its_codec(chunked: bool) -> None:
    world, publisher = state()
    payload = bytes(20_000)
    if chunked:
        large = publisher.large(0, payload, chain=LZ4)
        large.spoiled = True
        large.end()
    else:
        publisher.send(spoiled(publisher, payload))
    world.settle()
    late = world.subscriber("wf/a")
    world.settle()
    assert payloads(late) == []
    assert [(gap.code, gap.first) for gap in late.reader.gaps] == [(Code.CORRUPT_PAYLOAD, 0)]
    publisher.publish(0, b"good")
    world.settle()
    assert payloads(late) == [b"good"]


def spoiled(publisher: Peer, payload: bytes) -> bytes:
    """The next message, encoded so that it does not decode."""
    frame = b"".join(publisher.message(0, payload, chain=LZ4))
    return frame[:-32] + b"\xff" * 32


def test_a_class_that_comes_while_a_broken_message_waits_is_told_of_it_in_order() -> None:
    """The message does not decode, which shows only after the class has come."""
    world = World()
    publisher = world.publisher("wf/a")
    other = world.subscriber("wf/a", "other", ("lz4",))
    other.reader.strict = False
    publisher.publish(0, BIG, chain=ZSTD)
    publisher.send(spoiled(publisher, MIDDLE))
    publisher.publish(0, b"behind")
    late = world.subscriber("wf/a", "late")
    world.settle()
    assert [(gap.code, gap.first) for gap in late.read().gaps] == [(Code.CORRUPT_PAYLOAD, 1)]
    assert payloads(late) == [BIG, b"behind"]
    assert other.read().offsets == [0, 1, 2]


def test_a_receiver_that_leaves_while_its_message_is_decoded_gets_nothing() -> None:
    world, publisher = state()
    publisher.publish(0, BIG, chain=ZSTD)
    world.settle()
    stays, leaves = world.subscriber("wf/a", "stays"), world.subscriber("wf/a", "leaves")
    leaves.unsubscribe(1)
    world.settle()
    assert payloads(stays) == [BIG]
    assert payloads(leaves) == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_version_that_came_as_a_patch_is_a_keyframe_for_who_joins_and_who_asks_again(chunked: bool) -> None:
    world = World()
    publisher = Publisher(world)
    publisher.whole(np.zeros((40, 60), np.int32))
    publisher.patch(np.s_[1:3, :], 7, chunked=chunked)
    world.settle()
    late = world.subscriber(STREAM, "late", PATCH_CODECS)
    world.settle()
    late.say(Refresh(late.read().stream_id(STREAM)))
    world.settle()
    arrivals = late.read().arrivals
    assert [arrival.offset for arrival in arrivals] == [1, 1]
    for arrival in arrivals:
        assert arrival.region is None
        np.testing.assert_array_equal(arrival.array, publisher.versions[1])


def test_a_receiver_that_holds_a_patched_version_gets_the_next_patch_as_a_patch_after_asking_again() -> None:
    world = World()
    publisher = Publisher(world)
    receiver = Receiver(world.subscriber(STREAM, "receiver", PATCH_CODECS))
    publisher.whole(np.zeros((40, 60), np.int32))
    publisher.patch(np.s_[1, :], 1)
    world.settle()
    receiver.read()
    receiver.peer.say(Refresh(receiver.peer.read().stream_id(STREAM)))
    world.settle()
    receiver.read()
    publisher.patch(np.s_[2, :], 2)
    world.settle()
    receiver.read()
    assert receiver.patches == 2
    np.testing.assert_array_equal(receiver.versions[2], publisher.versions[2])


def test_keyframes_take_the_time_of_those_who_publish_the_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    publisher = Publisher(world)
    publisher.whole(np.zeros(16))
    readers = [world.subscriber(STREAM, f"reader-{number}") for number in range(16)]
    world.settle()
    queued = 0
    enqueue = Connection.enqueue

    def counted(connection: Connection, runs: Sequence[Run], *, again: bool = False) -> None:
        nonlocal queued
        queued += 1
        world.clock.now_ns += round(INPUT_S * 1e9 / 20)
        enqueue(connection, runs, again=again)

    monkeypatch.setattr(Connection, "enqueue", counted)
    for number in range(50):
        publisher.patch(slice(0, 1), number)
    assert queued <= 20 + 3 * (MANY_OWED + len(readers))
    world.settle()
    assert queued == 50 * len(readers)
    assert all(reader.read().arrivals[-1].offset == 50 for reader in readers)
