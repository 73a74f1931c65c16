"""A receiver that comes when a message is there already gets it in a form that it takes."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.outbound.connection import Connection
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind
from tests.connections.memory import EVERY_CODEC, Peer, World

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
