"""Transcoder: who gets a message as it came, who gets it decoded, and who encoded."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.fanout.encode_queue import MAX_WAITING
from gateway.connections.fanout.recode import THREAD_BYTES
from gateway.connections.fanout.transcoder import RECODE_BYTES
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from tests.connections import versions
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World

ZSTD = Chain(codec="zstd")
LZ4 = Chain(codec="lz4")
SMALL = b"small"
NOISE = np.random.default_rng(7).bytes(80 * 1024)
MIDDLE = NOISE[: 10 * 1024] + bytes(10 * 1024)
"""Encoded at once."""
BIG = NOISE + bytes(80 * 1024)
"""Encoded in a thread."""


def payloads(peer: Peer) -> list[bytes]:
    return [arrival.payload for arrival in peer.read().arrivals]


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


@pytest.mark.parametrize(("size", "encoded"), [(RECODE_BYTES - 1, False), (RECODE_BYTES, True)])
def test_small_payloads_are_delivered_as_they_came(size: int, encoded: bool) -> None:
    world = World(FixedPolicy(LZ4))
    publisher = world.publisher("wf/a", codecs=())
    knowing = world.subscriber("wf/a", "knowing", EVERY_CODEC)
    publisher.publish(0, bytes(size))
    world.settle()
    assert [(arrival.payload, arrival.encoded) for arrival in knowing.read().arrivals] == [(bytes(size), encoded)]


@pytest.mark.parametrize(("size", "works"), [(THREAD_BYTES, 0), (THREAD_BYTES + 1, 1)])
def test_large_payloads_are_encoded_in_a_thread(size: int, works: int) -> None:
    world = World(FixedPolicy(LZ4))
    publisher = world.publisher("wf/a", codecs=())
    world.subscriber("wf/a", "knowing", EVERY_CODEC)
    publisher.publish(0, bytes(size))
    assert len(world.workers) == works


def test_what_need_not_be_encoded_is_not_when_the_threads_are_behind() -> None:
    world = World(FixedPolicy(LZ4))
    publisher = world.publisher("wf/a", codecs=())
    knowing = world.subscriber("wf/a", "knowing", EVERY_CODEC)
    for _ in range(MAX_WAITING + 1):
        publisher.publish(0, BIG)
    world.settle()
    assert [arrival.encoded for arrival in knowing.read().arrivals] == [True] * MAX_WAITING + [False]
    publisher.publish(0, BIG)
    world.settle()
    assert knowing.read().arrivals[-1].encoded


@pytest.mark.parametrize(("codecs", "encoded"), [((), False), (("lz4",), False), (("zstd",), True)])
def test_chunks_are_decoded_for_those_who_do_not_know_their_codec(codecs: tuple[str, ...], encoded: bool) -> None:
    world = World(FixedPolicy(LZ4))
    publisher = world.publisher("wf/a", codecs=("zstd",))
    receiver = world.subscriber("wf/a", "receiver", codecs)
    payload = bytes(3 * CHUNK_BYTES)
    publisher.large(0, payload, chain=ZSTD).end()
    world.settle()
    assert [(arrival.payload, arrival.encoded) for arrival in receiver.read().arrivals] == [(payload, encoded)]


def letters(size: int) -> bytes:
    """Bytes of which lz4 makes a half, and zstd a quarter."""
    return np.random.default_rng(1).integers(0, 4, size).astype(np.uint8).tobytes()


@pytest.mark.parametrize("size", [4 * len(MIDDLE), 4 * len(BIG), 30 * CHUNK_BYTES])
def test_what_a_publisher_has_encoded_is_encoded_anew_where_the_policy_says_so(size: int) -> None:
    policy = FixedPolicy(LZ4)
    policy.anew = ZSTD
    world = World(policy)
    publisher = world.publisher("wf/a", codecs=("lz4",))
    receivers = [world.subscriber("wf/a", "", codecs) for codecs in (("lz4",), ("lz4", "zstd"), ("zstd",))]
    payload, sizes = letters(size), []
    if size == 30 * CHUNK_BYTES:
        publisher.large(0, payload, chain=LZ4).end()
    else:
        publisher.publish(0, payload, chain=LZ4)
    world.settle()
    for receiver in receivers:
        sizes.append(sum(map(len, receiver.transport.writes)))
        assert [arrival.payload for arrival in receiver.read().arrivals] == [payload]
    published, anew, decoded = sizes
    assert anew < 0.7 * published < decoded
    (outcome,) = policy.outcomes
    assert (outcome.chain, outcome.published_bytes > outcome.sent_bytes > 0) == (ZSTD, True)


def test_what_does_not_get_smaller_is_sent_as_its_publisher_has_encoded_it() -> None:
    policy = FixedPolicy()
    policy.anew = LZ4
    world = World(policy)
    publisher = world.publisher("wf/a", codecs=("zstd",))
    receiver = world.subscriber("wf/a", "receiver", EVERY_CODEC)
    small, large = letters(4 * len(MIDDLE)), letters(30 * CHUNK_BYTES)
    publisher.publish(0, small, chain=ZSTD)
    publisher.large(0, large, chain=ZSTD).end()
    world.settle()
    assert [arrival.payload for arrival in receiver.read().arrivals] == [small, large]
    assert [outcome.sent_bytes == outcome.published_bytes for outcome in policy.outcomes] == [True, True]


@pytest.mark.parametrize("size", [len(MIDDLE), len(BIG), 3 * CHUNK_BYTES])
def test_the_policy_is_told_once_for_each_message_how_its_chain_did(size: int) -> None:
    policy = FixedPolicy(LZ4)
    world = World(policy)
    publisher = world.publisher("wf/a", codecs=())
    world.subscriber("wf/a", "knowing", EVERY_CODEC)
    world.subscriber("wf/a", "too", ("lz4",))
    world.subscriber("wf/a", "plain")
    if size == 3 * CHUNK_BYTES:
        publisher.large(0, bytes(size)).end()
    else:
        publisher.publish(0, bytes(size))
    world.settle()
    (outcome,) = policy.outcomes
    assert outcome.chain == LZ4
    assert outcome.sent_bytes < outcome.published_bytes / 10
    assert outcome.published_bytes == size
    assert outcome.seconds >= 0


def test_the_policy_is_told_of_payloads_that_do_not_get_smaller() -> None:
    policy = FixedPolicy(LZ4)
    world = World(policy)
    publisher = world.publisher("wf/a", codecs=())
    world.subscriber("wf/a", "knowing", EVERY_CODEC)
    publisher.publish(0, np.random.default_rng(1).bytes(len(MIDDLE)))
    publisher.large(0, np.random.default_rng(2).bytes(3 * CHUNK_BYTES)).end()
    world.settle()
    assert [outcome.sent_bytes == outcome.published_bytes for outcome in policy.outcomes] == [True, True]


@pytest.mark.parametrize("codecs", [(), EVERY_CODEC])
def test_the_policy_is_told_nothing_of_messages_that_it_did_not_encode(codecs: tuple[str, ...]) -> None:
    policy = FixedPolicy(LZ4)
    world = World(policy)
    publisher = world.publisher("wf/a", codecs=("zstd",))
    world.subscriber("wf/a", "receiver", codecs)
    publisher.publish(0, bytes(len(MIDDLE)), chain=ZSTD)
    publisher.large(0, bytes(3 * CHUNK_BYTES), chain=ZSTD).end()
    publisher.publish(0, b"small")
    world.settle()
    assert policy.outcomes == []


@pytest.mark.parametrize("size", [versions.SMALL, versions.CHUNKED])
def test_the_policy_is_told_how_deltas_did(size: int) -> None:
    policy = FixedPolicy(delta=versions.XOR)
    world = World(policy, keyframe_every=1000)
    publisher = versions.make_publisher(world)
    world.subscriber("wf/s", "receiver", EVERY_CODEC)
    versions.publish(world, publisher, 0, size)
    assert policy.outcomes == []
    versions.publish(world, publisher, 1, size)
    (outcome,) = policy.outcomes
    assert outcome.chain == versions.XOR
    assert outcome.sent_bytes < outcome.published_bytes / 10
