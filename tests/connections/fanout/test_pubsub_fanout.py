"""Fanout: who gets what, in which encoding and order."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind
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
    assert late.read().offsets == [0, 1]


def test_what_waits_in_the_queue_does_not_pass_the_newest_message() -> None:
    """A late joiner comes while the queue is busy with a message that follows the newest one."""
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    plain = world.subscriber("wf/a", "plain")
    publisher.publish(0, BIG, chain=ZSTD)
    world.settle()
    publisher.publish(0, BIG, chain=ZSTD)
    late = world.subscriber("wf/a", "late")
    world.settle()
    assert late.read().offsets == [0, 1]
    assert plain.read().offsets == [0, 1]


# Encodings.


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
