"""Intake: large messages on their way in, and every way in which they end."""

from __future__ import annotations

import pytest

from gateway.errors import Code
from gateway.protocol.encoding import Chain, Encoding, encode
from gateway.protocol.limits import Limits
from gateway.protocol.signals import Abort, End
from gateway.protocol.transfers import write_chunk
from tests.connections.frames import CHUNK_BYTES, START_NS
from tests.connections.memory import Peer, World

PAYLOAD = bytes(range(256)) * 40
"""Two whole chunks and a part."""


def pair(limits: Limits | None = None) -> tuple[World, Peer, Peer]:
    world = World(limits=limits)
    return world, world.publisher("wf/a", "wf/b"), world.subscriber("wf/*")


def test_a_large_message_arrives_bit_for_bit_and_is_acknowledged_at_its_end() -> None:
    world, publisher, subscriber = pair()
    large = publisher.large(0, PAYLOAD, ack=True)
    assert not publisher.read().acks
    large.end()
    world.settle()
    (ack,) = publisher.read().acks
    assert (ack.alias, ack.count, ack.sequence, ack.offset) == (0, 1, 1, 0)
    (arrival,) = subscriber.read().arrivals
    assert arrival.payload == PAYLOAD
    assert arrival.publisher == publisher.session.peer.id


def test_the_offset_is_given_at_the_end() -> None:
    world, publisher, subscriber = pair()
    other = world.peer("other")
    other.open(0, "wf/a")
    large = publisher.large(0, PAYLOAD, ack=True)
    other.publish(0, b"first")
    large.end()
    world.settle()
    assert publisher.read().acks[0].offset == 1
    assert subscriber.read().offsets == [0, 1]


def test_transfers_to_different_streams_are_under_way_side_by_side() -> None:
    world, publisher, subscriber = pair()
    first = publisher.large(0, PAYLOAD, transfer=7)
    second = publisher.large(1, PAYLOAD[::-1], transfer=8)
    while first.chunk() and second.chunk():
        pass
    second.end()
    first.end()
    world.settle()
    arrived = {arrival.stream: arrival.payload for arrival in subscriber.read().arrivals}
    assert arrived == {1: PAYLOAD, 2: PAYLOAD[::-1]}


def test_the_same_transfer_number_of_two_publishers_is_two_transfers() -> None:
    world, publisher, subscriber = pair()
    other = world.peer("other")
    other.open(0, "wf/b")
    first = publisher.large(0, PAYLOAD, transfer=1)
    second = other.large(0, PAYLOAD[::-1], transfer=1)
    first.chunk()
    second.chunk()
    first.end()
    second.end()
    world.settle()
    arrived = {arrival.stream: arrival.payload for arrival in subscriber.read().arrivals}
    assert arrived == {1: PAYLOAD, 2: PAYLOAD[::-1]}


def test_the_publisher_may_use_the_alias_again_after_the_end() -> None:
    world, publisher, subscriber = pair()
    publisher.large(0, PAYLOAD).end()
    publisher.publish(0, b"small")
    publisher.large(0, PAYLOAD).end()
    world.settle()
    assert subscriber.read().offsets == [0, 1, 2]
    assert not publisher.read().codes


@pytest.mark.parametrize(
    ("index", "size"),
    [(2, CHUNK_BYTES), (0, CHUNK_BYTES), (1, CHUNK_BYTES - 1), (1, CHUNK_BYTES + 1), (1, 0), (2**32 - 1, 8)],
)
def test_a_chunk_that_does_not_follow_ends_the_transfer(index: int, size: int) -> None:
    world, publisher, subscriber = pair()
    large = publisher.large(0, PAYLOAD)
    large.chunk()
    publisher.send(write_chunk(1, index, (bytes(size),)))
    (error,) = publisher.read().errors
    assert (error.code, error.transfer, error.alias, error.sequence) == (Code.BROKEN_TRANSFER, 1, 0, 1)
    large.end()
    publisher.publish(0, b"next")
    world.settle()
    assert publisher.read().codes == [Code.BROKEN_TRANSFER]
    assert [abort.code for abort in subscriber.read().aborts] == [Code.BROKEN_TRANSFER]
    assert [arrival.payload for arrival in subscriber.reader.arrivals] == [b"next"]
    assert subscriber.reader.offsets == [0]


def test_one_chunk_too_many_ends_the_transfer() -> None:
    world, publisher, subscriber = pair()
    large = publisher.large(0, PAYLOAD)
    while large.chunk():
        pass
    publisher.send(write_chunk(1, 3, (bytes(8),)))
    world.settle()
    assert publisher.read().codes == [Code.BROKEN_TRANSFER]
    assert not subscriber.read().transfers


def test_an_end_that_comes_too_early() -> None:
    world, publisher, subscriber = pair()
    publisher.large(0, PAYLOAD).chunk()
    publisher.send(End(1, 0, START_NS).write())
    world.settle()
    assert publisher.read().codes == [Code.BROKEN_TRANSFER]
    assert len(subscriber.read().aborts) == 1


def test_an_abort_is_passed_on_with_its_code() -> None:
    world, publisher, subscriber = pair()
    publisher.large(0, PAYLOAD).chunk()
    publisher.send(Abort(1, 5123).write())
    world.settle()
    assert not publisher.read().codes
    assert [abort.code for abort in subscriber.read().aborts] == [5123]


def test_frames_of_transfers_that_are_not_open_are_skipped() -> None:
    _, publisher, _ = pair()
    publisher.send(write_chunk(5, 0, (bytes(8),)), End(5, 0, 0).write(), Abort(5, 5000).write())
    assert not publisher.read().log
    assert publisher.close_code() is None


def test_a_transfer_number_that_is_in_use() -> None:
    _, publisher, _ = pair()
    publisher.large(0, PAYLOAD)
    publisher.large(1, PAYLOAD)
    assert publisher.read().codes == [Code.BROKEN_TRANSFER]


def test_too_many_transfers() -> None:
    _, publisher, _ = pair(Limits(max_transfers=1))
    publisher.large(0, PAYLOAD, transfer=1)
    publisher.large(1, PAYLOAD, transfer=2)
    assert publisher.read().codes == [Code.LIMIT_EXCEEDED]


def test_transfers_that_are_too_large_together() -> None:
    _, publisher, _ = pair(Limits(max_unfinished_bytes=2 * len(PAYLOAD) - 1))
    publisher.large(0, PAYLOAD, transfer=1).end()
    publisher.large(0, PAYLOAD, transfer=2)
    publisher.large(1, PAYLOAD, transfer=3)
    assert publisher.read().codes == [Code.LIMIT_EXCEEDED]


def test_one_that_is_too_large_by_itself_passes_when_it_is_alone() -> None:
    _, publisher, _ = pair(Limits(max_unfinished_bytes=len(PAYLOAD) - 1))
    publisher.large(0, PAYLOAD, transfer=1).end()
    publisher.large(0, PAYLOAD, transfer=1).end()
    assert not publisher.read().codes


def encoded_chunk(payload: bytes) -> tuple[Encoding, bytes]:
    found = encode(Chain(codec="lz4"), payload, 1)
    assert found is not None
    return found[0], bytes(found[1])


def test_an_encoded_chunk_that_declares_another_size_than_the_plan() -> None:
    world, publisher, subscriber = pair()
    publisher.large(0, PAYLOAD).chunk()
    encoding, data = encoded_chunk(bytes(2 * CHUNK_BYTES))
    publisher.send(write_chunk(1, 1, (data,), encoding))
    world.settle()
    assert publisher.read().codes == [Code.BROKEN_TRANSFER]
    assert len(subscriber.read().aborts) == 1


def test_a_chunk_of_a_codec_that_was_not_agreed_on() -> None:
    world = World()
    publisher = world.publisher("wf/a", codecs=("zstd",))
    publisher.large(0, PAYLOAD)
    encoding, data = encoded_chunk(bytes(CHUNK_BYTES))
    publisher.send(write_chunk(1, 0, (data,), encoding))
    assert publisher.read().codes == [Code.UNKNOWN_CODEC]


def test_a_zstd_chunk_whose_own_header_says_more_than_it_declares() -> None:
    _, publisher, _ = pair()
    publisher.large(0, PAYLOAD)
    found = encode(Chain(codec="zstd"), bytes(1 << 20), 1)
    assert found is not None
    publisher.send(write_chunk(1, 0, (found[1],), Encoding(CHUNK_BYTES, found[0].steps)))
    assert publisher.read().codes == [Code.CORRUPT_PAYLOAD]


def test_chunks_that_cannot_be_decoded_are_not_given_to_those_who_did_not_agree_on_their_codec() -> None:
    world, publisher, subscriber = pair()
    knowing = world.subscriber("wf/a", "knowing", ("lz4", "zstd", "snappy", "shuffle", "xor"))
    publisher.large(0, bytes(2 * CHUNK_BYTES)).chunk()
    encoding, data = encoded_chunk(bytes(CHUNK_BYTES))
    publisher.send(write_chunk(1, 1, (b"\xff" * len(data),), encoding), End(1, 0, START_NS).write())
    publisher.publish(0, b"after")
    world.settle()
    knowing.transport.writes.clear()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [b"after"]
    assert [abort.code for abort in subscriber.reader.aborts] == [Code.CORRUPT_PAYLOAD]
    assert [(gap.first, gap.last) for gap in subscriber.reader.gaps] == [(0, 0)]


@pytest.mark.parametrize("begun", [False, True])
def test_a_publisher_that_vanishes_leaves_no_transfer_behind(begun: bool) -> None:
    world, publisher, subscriber = pair()
    for alias in (0, 1):
        large = publisher.large(alias, PAYLOAD, transfer=alias)
        if begun:
            large.chunk()
    publisher.drop()
    world.settle()
    # Whoever has seen nothing of a message need not be told that it will not come.
    assert [abort.code for abort in subscriber.read().aborts] == [Code.TRANSFER_ABORTED] * 2 * begun
    assert not subscriber.reader.transfers


def test_a_publisher_that_vanishes_while_a_receiver_lags() -> None:
    world, publisher, subscriber = pair()
    large = publisher.large(0, PAYLOAD)
    large.chunk()
    subscriber.transport.fill_up()
    large.chunk()
    publisher.drop()
    world.settle()
    subscriber.transport.read_on()
    assert len(subscriber.read().aborts) == 1
    assert not subscriber.session.connection.lagging


def test_a_receiver_that_vanishes_in_the_middle_is_not_noticed() -> None:
    world, publisher, subscriber = pair()
    other = world.subscriber("wf/a", "other")
    large = publisher.large(0, PAYLOAD)
    large.chunk()
    subscriber.drop()
    large.end()
    world.settle()
    assert [arrival.payload for arrival in other.read().arrivals] == [PAYLOAD]
