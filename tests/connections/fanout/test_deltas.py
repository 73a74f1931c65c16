"""Deltas of states: which versions become deltas, and to what."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import Code
from gateway.optimizer.sampled_policy import SampledPolicy
from tests.connections.memory import EVERY_CODEC, FixedPolicy, StepWorkers, TextPeer, World
from tests.connections.versions import (
    BIG,
    CHUNKED,
    LZ4,
    SMALL,
    Scene,
    conflated,
    every_size,
    make_publisher,
    make_world,
    publish,
    seen,
    version,
)


@every_size
def test_several_versions_in_one_turn(scene: Scene, size: int) -> None:
    for number in range(4):
        if size == CHUNKED:
            scene.publisher.large(0, version(number, size), transfer=number).end()
        else:
            scene.publisher.publish(0, version(number, size))
    while len(scene.world.workers):
        scene.world.workers.step(len(scene.world.workers) - 1)
    scene.world.settle()
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True), (3, True)]


def test_another_size_or_shape_or_kind_of_message_is_no_base(scene: Scene) -> None:
    scene.publish(0)
    scene.publish(1, SMALL + 1)
    scene.publish(2, SMALL + 1)
    scene.publish(3, 10_000)
    scene.publish(4, 10_000)
    scene.publisher.send(scene.publisher.batch(0, [version(5), version(6)]))
    scene.publish(7)
    scene.publish(8)
    scene.publish(9, CHUNKED)
    scene.publish(10, CHUNKED)
    scene.world.settle()
    assert [offset for offset, delta in seen(scene.receiver) if delta] == [2, 8, 10]
    assert scene.receiver.reader.offsets == list(range(11))


def test_in_chunks_or_in_one_piece_makes_no_difference(scene: Scene) -> None:
    scene.publish(0, CHUNKED)
    scene.publisher.publish(0, version(1, CHUNKED))
    scene.world.settle()
    scene.publish(2, CHUNKED)
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True)]


def test_a_delta_that_is_not_smaller_is_not_sent(scene: Scene) -> None:
    noise = [np.random.default_rng(number).bytes(SMALL) for number in range(2)]
    for payload in noise:
        scene.publisher.publish(0, payload)
    scene.world.settle()
    assert [(arrival.delta, arrival.payload) for arrival in scene.receiver.read().arrivals] == [
        (False, payload) for payload in noise
    ]


def test_text_receivers_get_every_version_whole() -> None:
    world = make_world()
    publisher = make_publisher(world)
    text = TextPeer(world)
    text.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    text.send('{"message_type":"subscribe","id":1,"payload":{"pattern":"wf/s"}}')
    knowing = world.subscriber("wf/s", "knowing", EVERY_CODEC)
    text.texts()
    for number in range(2):
        publish(world, publisher, number, SMALL)
        publish(world, publisher, number + 2, CHUNKED)
    assert len(seen_texts := text.texts()) == 4
    assert all(b'"message"' in line for line in seen_texts)
    assert len(knowing.read().arrivals) == 4


def test_two_large_versions_under_way_at_once_refer_to_what_came_before_both() -> None:
    world = make_world()
    one, other = make_publisher(world), make_publisher(world)
    receiver = world.subscriber("wf/s", "receiver", EVERY_CODEC)
    behind = world.subscriber("wf/s", "behind", EVERY_CODEC)
    publish(world, one, 0, CHUNKED)
    behind.transport.fill_up()
    first, second = one.large(0, version(1, CHUNKED)), other.large(0, version(2, CHUNKED))
    for _ in range(2):
        first.chunk()
        second.chunk()
    first.end()
    second.end()
    publish(world, one, 3, CHUNKED)
    behind.transport.read_on()
    world.settle()
    assert seen(receiver) == [(0, False), (1, True), (2, True), (3, True)]
    # What is encoded against version 0 is of no use to who gets it behind version 1.
    assert seen(behind) == [(0, False), (2, False), (3, True)]
    assert conflated(behind) == 1


def test_a_version_in_between_leaves_the_chunks_their_base() -> None:
    world = make_world()
    one, other = make_publisher(world), make_publisher(world)
    receiver = world.subscriber("wf/s", "receiver", EVERY_CODEC)
    publish(world, one, 0, CHUNKED)
    large = one.large(0, version(2, CHUNKED))
    large.chunk()
    world.settle()
    other.publish(0, version(1, CHUNKED))
    world.settle()
    late = world.subscriber("wf/s", "late", EVERY_CODEC)
    large.end()
    publish(world, other, 3, CHUNKED)
    assert seen(receiver) == [(0, False), (1, True), (2, True), (3, True)]
    assert seen(late) == [(1, False), (2, False), (3, True)]


@pytest.mark.parametrize("size", [SMALL, CHUNKED])
def test_a_version_that_cannot_be_decoded_is_no_base(size: int) -> None:
    """Receivers that need it decoded are told by GAP; nobody is sent a delta to it."""
    world = make_world()
    publisher = make_publisher(world, codecs=("lz4",))
    knowing = world.subscriber("wf/s", "knowing", EVERY_CODEC)
    ignorant = world.subscriber("wf/s", "ignorant", ("zstd", "xor"))
    knowing.reader.strict = False
    publish(world, publisher, 0, size)
    large = publisher.large(0, version(1, size), chain=LZ4) if size == CHUNKED else None
    if large is None:
        frame = bytearray(b"".join(publisher.message(0, version(1, size), chain=LZ4)))
        frame[-200:] = b"\xff" * 200
        publisher.send(bytes(frame))
    else:
        large.spoiled = True
        large.end()
    publish(world, publisher, 2, size)
    publish(world, publisher, 3, size)
    assert [(arrival.offset, arrival.delta) for arrival in knowing.read().arrivals] == [
        (0, False),
        (1, False),
        (2, False),
        (3, True),
    ]
    assert seen(ignorant) == [(0, False), (2, False), (3, True)]
    assert [(gap.code, gap.first) for gap in ignorant.reader.gaps] == [(Code.CORRUPT_PAYLOAD, 1)]


@pytest.mark.parametrize("size", [SMALL, CHUNKED])
def test_where_deltas_do_not_pay_versions_are_encoded_by_themselves(size: int) -> None:
    world = World(FixedPolicy(LZ4))
    publisher = make_publisher(world, codecs=())
    receiver = world.subscriber("wf/s", "receiver", EVERY_CODEC)
    for number in range(2):
        publish(world, publisher, number, size)
    assert seen(receiver) == [(0, False), (1, False)]
    assert all(arrival.encoded for arrival in receiver.reader.arrivals)


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_deltas_are_learned_from_the_traffic(size: int) -> None:
    workers = StepWorkers()
    world = World(SampledPolicy(workers), keyframe_every=1000)
    publisher = make_publisher(world)
    receiver = world.subscriber("wf/s", "receiver", EVERY_CODEC)
    for number in range(4):
        publish(world, publisher, number, size)
        while len(workers):
            workers.step()
    # The second version is the first that can be compared with the one before.
    assert seen(receiver) == [(0, False), (1, False), (2, True), (3, True)]
