"""Fanout: who gets what, in which encoding and order."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind, Unsubscribe
from tests.connections.memory import CHUNK_BYTES, EVERY_CODEC, FixedPolicy, Peer, World

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


# What a late joiner gets.


def test_a_late_joiner_of_a_state_gets_the_newest_message() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish(0, b"old")
    publisher.publish(0, b"new")
    late = world.subscriber("wf/a")
    world.settle()
    assert payloads(late) == [b"new"]
    assert late.reader.offsets == [1]


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.COLLABORATION, Kind.CONTROL])
def test_a_late_joiner_of_other_kinds_gets_what_is_published_from_now_on(kind: Kind) -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=kind)
    publisher.publish(0, b"old")
    late = world.subscriber("wf/a")
    publisher.publish(0, b"new")
    world.settle()
    assert payloads(late) == [b"new"]


def test_a_late_joiner_gets_the_last_record_of_a_batch() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.send(publisher.batch(0, [b"one", b"two", b"six"]))
    late = world.subscriber("wf/a")
    world.settle()
    assert payloads(late) == [b"six"]
    assert late.reader.offsets == [2]


def test_a_late_joiner_gets_the_last_record_of_an_encoded_batch() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    records = [bytes([value]) * 100 for value in range(30)]
    publisher.send(publisher.batch(0, records, chain=ZSTD))
    late = world.subscriber("wf/a")
    world.settle()
    assert payloads(late) == [records[-1]]


@pytest.mark.parametrize("codecs", [(), EVERY_CODEC])
def test_a_late_joiner_gets_an_encoded_message_as_it_can_decode_it(codecs: tuple[str, ...]) -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish(0, BIG, chain=ZSTD)
    world.settle()
    late = world.subscriber("wf/a", codecs=codecs)
    world.settle()
    assert payloads(late) == [BIG]


@pytest.mark.parametrize("codecs", [(), EVERY_CODEC])
@pytest.mark.parametrize("chain", [Chain(), ZSTD])
def test_a_late_joiner_gets_a_large_message(chain: Chain, codecs: tuple[str, ...]) -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.large(0, CHUNKED, chain=chain).end()
    world.settle()
    late = world.subscriber("wf/a", codecs=codecs)
    world.settle()
    assert payloads(late) == [CHUNKED]


def test_the_newest_message_never_comes_after_one_that_is_newer() -> None:
    """While the newest message is decoded for a late joiner, a newer one is published."""
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish(0, BIG, chain=ZSTD)
    world.settle()
    late = world.subscriber("wf/a")
    publisher.publish(0, SMALL)
    world.settle()
    assert late.read().offsets in ([0, 1], [1])


def test_what_waits_in_the_lane_does_not_pass_the_newest_message() -> None:
    """A late joiner comes while the lane is busy with a message that follows the newest one."""
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    plain = world.subscriber("wf/a", "plain")
    publisher.publish(0, BIG, chain=ZSTD)
    world.settle()
    publisher.publish(0, BIG, chain=ZSTD)
    late = world.subscriber("wf/a", "late")
    world.settle()
    assert late.read().offsets in ([0, 1], [1])
    assert plain.read().offsets == [0, 1]


# Encodings.


def test_each_receiver_gets_what_it_can_decode() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    plain = world.subscriber("wf/a", "plain")
    knowing = world.subscriber("wf/a", "knowing", EVERY_CODEC)
    other = world.subscriber("wf/a", "other", ("lz4",))
    for payload in (BIG, MIDDLE, bytes(200)):
        publisher.publish(0, payload, chain=ZSTD)
    world.settle()
    for peer in (plain, knowing, other):
        assert payloads(peer) == [BIG, MIDDLE, bytes(200)]
    assert all(arrival.encoded for arrival in knowing.reader.arrivals)
    assert not any(arrival.encoded for arrival in plain.reader.arrivals)


def test_who_joins_while_a_message_is_decoded_gets_what_it_can_decode() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    other = world.subscriber("wf/a", "other", ("lz4",))
    publisher.publish(0, BIG, chain=ZSTD)
    late = world.subscriber("wf/a", "late")
    world.settle()
    assert payloads(other) == [BIG]
    assert payloads(late) in ([BIG], [])


def test_who_joins_while_the_lane_is_busy_gets_what_it_can_decode() -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    other = world.subscriber("wf/a", "other", ("lz4",))
    publisher.publish(0, BIG, chain=ZSTD)
    publisher.publish(0, MIDDLE, chain=LZ4)
    late = world.subscriber("wf/a", "late")
    world.settle()
    assert payloads(other) == [BIG, MIDDLE]
    assert payloads(late) in ([BIG, MIDDLE], [MIDDLE], [])


def test_the_policy_encodes_once_for_all_who_can_decode() -> None:
    world = World(FixedPolicy(LZ4))
    publisher = world.publisher("wf/a", codecs=())
    knowing = [world.subscriber("wf/a", f"knowing-{n}", EVERY_CODEC) for n in range(3)]
    plain = world.subscriber("wf/a", "plain")
    publisher.publish(0, BIG)
    assert len(world.workers) == 1
    world.settle()
    for peer in knowing:
        assert payloads(peer) == [BIG]
        assert peer.reader.arrivals[0].encoded
    assert payloads(plain) == [BIG]
    assert not plain.reader.arrivals[0].encoded


def test_order_is_kept_while_messages_are_encoded_in_threads_that_finish_in_any_order() -> None:
    world = World(FixedPolicy(LZ4))
    publisher = world.publisher("wf/a", "wf/b")
    knowing = world.subscriber("wf/*", "knowing", EVERY_CODEC)
    plain = world.subscriber("wf/*", "plain")
    for _ in range(3):
        publisher.publish(0, BIG)
        publisher.publish(0, SMALL)
        publisher.publish(0, MIDDLE)
    publisher.publish(1, SMALL)
    world.turn()
    assert [arrival.stream for arrival in plain.read().arrivals] == [2], "another stream does not wait"
    while len(world.workers):
        world.workers.step(-1)
        world.turn()
    for peer in (knowing, plain):
        arrivals = [arrival for arrival in peer.read().arrivals if arrival.stream == 1]
        assert [arrival.offset for arrival in arrivals] == list(range(9))
        assert [arrival.payload for arrival in arrivals] == [BIG, SMALL, MIDDLE] * 3


def test_a_payload_that_cannot_be_decoded_reaches_only_those_who_asked_for_its_codec() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    plain = world.subscriber("wf/a", "plain")
    frame = bytearray(b"".join(publisher.message(0, bytes(50 * 1024), chain=LZ4)))
    frame[56:64] = b"\xff" * 8
    publisher.send(bytes(frame))
    publisher.publish(0, SMALL)
    world.settle()
    assert payloads(plain) == [SMALL]
    assert [(gap.first, gap.last) for gap in plain.reader.gaps] == [(0, 0)]
    assert plain.reader.gaps[0].code == Code.CORRUPT_PAYLOAD


# Large messages.


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
    """The lane is busy with chunks for one class when END comes, and the next message is there already."""
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
    receiver.say(unsubscribe(1))
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
    receiver.say(unsubscribe(1))
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


def unsubscribe(subscription: int) -> Unsubscribe:
    return Unsubscribe(99, subscription)
