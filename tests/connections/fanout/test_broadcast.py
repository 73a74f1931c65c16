"""Broadcast: a large message on its way, whoever comes, lags and leaves meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind, Unsubscribe
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World

ZSTD = Chain(codec="zstd")
LZ4 = Chain(codec="lz4")
SMALL = b"small"
NOISE = np.random.default_rng(7).bytes(80 * 1024)
MIDDLE = NOISE[: 10 * 1024] + bytes(10 * 1024)
"""Encoded at once."""
BIG = NOISE + bytes(80 * 1024)
"""Encoded in a thread; encoded, it is still large enough for that."""
CHUNKED = bytes(range(256)) * (3 * CHUNK_BYTES // 256)


def payloads(peer: Peer) -> list[bytes]:
    return [arrival.payload for arrival in peer.read().arrivals]


def test_chunks_are_passed_on_as_they_come() -> None:
    world = World()
    publisher = world.publisher("wf/a", codecs=())
    receiver = world.subscriber("wf/a")
    large = publisher.large(0, CHUNKED)
    for count in (1, 2):
        large.chunk()
        assert receiver.read().received_chunks == count
    large.end()
    world.settle()
    assert payloads(receiver) == [CHUNKED]


def test_small_messages_pass_a_large_one_and_its_end_is_in_order() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    second = world.peer("second")
    second.open(0, "wf/a")
    receiver = world.subscriber("wf/a")
    large = publisher.large(0, CHUNKED)
    large.chunk()
    second.publish(0, b"in between")
    large.end()
    second.publish(0, b"after")
    world.settle()
    assert payloads(receiver) == [b"in between", CHUNKED, b"after"]
    assert receiver.reader.offsets == [0, 1, 2]


@pytest.mark.parametrize("codecs", [(), EVERY_CODEC, ("lz4",)])
def test_who_joins_in_the_middle_of_a_large_message_gets_it_whole_and_in_order(codecs: tuple[str, ...]) -> None:
    world = World()
    publisher = world.publisher("wf/a")
    second = world.peer("second")
    second.open(0, "wf/a")
    first = world.subscriber("wf/a", "first", EVERY_CODEC)
    large = publisher.large(0, bytes(3 * CHUNK_BYTES), chain=ZSTD)
    large.chunk()
    late = world.subscriber("wf/a", "late", codecs)
    second.publish(0, b"in between")
    large.end()
    second.publish(0, b"after")
    world.settle()
    for peer in (first, late):
        assert peer.read().offsets == [0, 1, 2]
        assert payloads(peer) == [b"in between", bytes(3 * CHUNK_BYTES), b"after"]


def test_what_follows_a_large_message_waits_until_it_is_decoded_for_a_latecomer() -> None:
    """The queue is busy with chunks for one class when END comes, and the next message is there already."""
    world = World(FixedPolicy(LZ4))
    publisher = world.publisher("wf/a", codecs=("zstd",))
    knowing = world.subscriber("wf/a", "knowing", ("zstd",))
    plain = world.subscriber("wf/a", "plain")
    large = publisher.large(0, bytes(3 * CHUNK_BYTES), chain=ZSTD)
    large.chunk()
    late = world.subscriber("wf/a", "late", ("lz4",))
    large.end()
    publisher.publish(0, b"after")
    world.settle()
    for peer in (knowing, plain, late):
        assert peer.read().offsets == [0, 1]


def test_an_aborted_large_message_takes_no_offset() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a")
    publisher.large(0, CHUNKED).chunk()
    publisher.drop()
    world.settle()
    assert [abort.code for abort in receiver.read().aborts] == [Code.TRANSFER_ABORTED]
    again = world.peer("again")
    again.open(0, "wf/a")
    again.publish(0, SMALL)
    world.settle()
    assert receiver.read().offsets == [0]
    assert not receiver.reader.transfers


def test_who_unsubscribes_in_the_middle_of_a_large_message_keeps_no_open_transfer() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a")
    large = publisher.large(0, CHUNKED)
    large.chunk()
    receiver.say(Unsubscribe(99, 1))
    large.end()
    world.settle()
    assert not receiver.read().transfers
    assert not receiver.reader.arrivals


@pytest.mark.parametrize("full", [False, True])
def test_who_subscribes_again_in_the_middle_of_a_large_message_gets_it_once(full: bool) -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a")
    large = publisher.large(0, CHUNKED)
    large.chunk()
    if full:
        receiver.transport.fill_up()
        large.chunk()
    receiver.say(Unsubscribe(99, 1))
    receiver.subscribe("wf/a", 2)
    large.end()
    world.settle()
    receiver.transport.read_on()
    world.settle()
    assert payloads(receiver) == [CHUNKED]
    assert not receiver.reader.transfers


@pytest.mark.parametrize("chain", [Chain(), ZSTD])
@pytest.mark.parametrize("codecs", [(), EVERY_CODEC])
def test_a_receiver_that_falls_behind_in_the_middle_gets_every_chunk_once(
    codecs: tuple[str, ...], chain: Chain
) -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a", codecs=codecs)
    payload = bytes(8 * CHUNK_BYTES)
    large = publisher.large(0, payload, chain=chain)
    large.chunk()
    world.settle()
    receiver.transport.fill_up()
    large.chunk()
    large.chunk()
    world.settle()
    receiver.transport.read_on()
    large.chunk()
    receiver.transport.fill_up()
    large.end()
    publisher.publish(0, SMALL)
    world.settle()
    receiver.transport.read_on()
    world.settle()
    assert payloads(receiver) == [payload, SMALL]
    assert receiver.reader.received_chunks == 8


def test_who_has_fallen_behind_when_a_large_message_begins_gets_it_whole() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a")
    receiver.transport.fill_up()
    publisher.large(0, CHUNKED).end()
    publisher.publish(0, SMALL)
    world.settle()
    receiver.transport.read_on()
    assert payloads(receiver) == [CHUNKED, SMALL]


def test_a_large_control_message_is_not_passed_by_the_next_one() -> None:
    world = World()
    publisher = world.publisher("wf/c", kind=Kind.CONTROL)
    receiver = world.subscriber("wf/c")
    receiver.transport.fill_up()
    publisher.large(0, CHUNKED).end()
    publisher.publish(0, SMALL)
    world.settle()
    receiver.transport.read_on()
    assert receiver.read().offsets == [0, 1]


def test_a_member_that_needs_a_keyframe_gets_the_chunks_of_a_version_that_is_no_delta() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE, codecs=())
    receiver = world.subscriber("wf/a")
    publisher.large(0, CHUNKED).end()
    world.settle()
    assert payloads(receiver) == [CHUNKED]
    connection = receiver.session.connection
    (delivery,) = connection.memberships.values()
    assert isinstance(delivery, DeliveryClass)
    assert delivery.versions is not None
    delivery.versions.require_keyframe(connection)
    large = publisher.large(0, CHUNKED, 2)
    before = receiver.read().received_chunks
    for count in (1, 2):
        large.chunk()
        assert receiver.read().received_chunks == before + count
    large.end()
    world.settle()
    assert payloads(receiver) == [CHUNKED, CHUNKED]
    assert delivery.holds_newest(connection)
