"""Broadcast: a large message on its way, whoever comes, lags and leaves meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.input_budget import INPUT_S
from gateway.connections.outbound.connection import Connection
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind, Unsubscribe
from gateway.protocol.transfers import parse_chunk
from gateway.protocol.wire import Buffer, Opcode
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.patches import PATCH_CODECS, STREAM, Publisher, Receiver
from tests.connections.versions import CHUNKED as STATE_BYTES
from tests.connections.versions import Scene, seen

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


def test_chunks_take_the_time_of_those_who_publish_them(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    publisher = world.publisher("wf/a")
    watchers = [world.subscriber("wf/a", f"watcher-{number}") for number in range(40)]
    world.settle()
    writes = 0
    write_bulk = Connection.write_bulk

    def slow(connection: Connection, buffers: Sequence[Buffer], size: int) -> bool:
        nonlocal writes
        writes += 1
        world.clock.now_ns += round(INPUT_S * 1e9 / 20)
        return write_bulk(connection, buffers, size)

    monkeypatch.setattr(Connection, "write_bulk", slow)
    payload = bytes(20 * CHUNK_BYTES)
    large = publisher.large(0, payload)
    while large.chunk():
        pass
    assert 0 < writes <= 6 * len(watchers)
    large.end()
    world.settle()
    assert all(payloads(watcher) == [payload] for watcher in watchers)


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


# Chunks that are encoded on the way.


@pytest.mark.parametrize("spoiled", [False, True])
def test_encoded_chunks_are_decoded_for_receivers_without_the_codec_or_aborted_for_them(
    spoiled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    publisher = world.publisher("wf/a")
    knowing = world.subscriber("wf/a", "knowing", EVERY_CODEC)
    plain = world.subscriber("wf/a", "plain")
    knowing.reader.strict = False
    large = publisher.large(0, bytes(3 * CHUNK_BYTES), chain=LZ4)
    large.chunk()
    large.spoiled = spoiled
    large.end()
    world.settle()
    publisher.publish(0, SMALL)
    world.settle()
    assert knowing.read().offsets == [0, 1]
    if spoiled:
        assert [abort.code for abort in plain.read().aborts] == [Code.CORRUPT_PAYLOAD]
        assert "a chunk of wf/a cannot be recoded" in caplog.text
    else:
        assert payloads(plain) == [bytes(3 * CHUNK_BYTES), SMALL]
    assert not plain.reader.transfers


def test_each_class_gets_the_chunks_by_a_chain_that_it_knows_and_the_policy_is_told_how_it_went() -> None:
    policy = FixedPolicy(ZSTD)
    world = World(policy)
    publisher = world.publisher("wf/a", codecs=())
    knowing = world.subscriber("wf/a", "knowing", EVERY_CODEC)
    plain = world.subscriber("wf/a", "plain")
    publisher.large(0, CHUNKED).end()
    world.settle()
    (encoded,) = knowing.read().arrivals
    (passed_on,) = plain.read().arrivals
    assert (encoded.payload, encoded.encoded) == (CHUNKED, True)
    assert (passed_on.payload, passed_on.encoded) == (CHUNKED, False)
    (outcome,) = policy.outcomes
    assert (outcome.chain, outcome.published_bytes) == (ZSTD, len(CHUNKED))
    assert outcome.sent_bytes < len(CHUNKED)


def test_the_end_of_a_message_waits_for_its_chunks_that_are_being_encoded() -> None:
    world = World(FixedPolicy(LZ4))
    publisher = world.publisher("wf/a", codecs=())
    knowing = world.subscriber("wf/a", "knowing", EVERY_CODEC)
    publisher.large(0, CHUNKED).end()
    publisher.publish(0, SMALL)
    world.turn()
    assert not knowing.read().arrivals
    while len(world.workers):
        world.workers.step(-1)
        world.turn()
    assert payloads(knowing) == [CHUNKED, SMALL]


# States.


def test_a_large_version_goes_out_as_deltas_to_members_that_hold_the_one_before_and_complete_to_the_others() -> None:
    scene = Scene()
    scene.publish(0, STATE_BYTES)
    late = scene.join("late")
    needing = scene.join("needing")
    plain = scene.join("plain", ())
    scene.world.settle()
    connection = needing.session.connection
    (delivery,) = connection.memberships.values()
    assert isinstance(delivery, DeliveryClass)
    assert delivery.versions is not None
    delivery.versions.require_keyframe(connection)
    scene.publish(1, STATE_BYTES)
    scene.publish(2, STATE_BYTES)
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True)]
    assert seen(late) == [(0, False), (1, True), (2, True)]
    assert seen(needing) == [(0, False), (1, False), (2, True)]
    assert seen(plain) == [(0, False), (1, False), (2, False)]


def test_a_member_that_lags_but_will_hold_the_version_before_gets_the_same_deltas_later() -> None:
    scene = Scene()
    slow = scene.join("slow")
    scene.publish(0, STATE_BYTES)
    seen(slow)
    slow.transport.fill_up()
    scene.publish(1, STATE_BYTES)
    slow.transport.read_on()
    scene.world.settle()
    scene.publish(2, STATE_BYTES)
    assert seen(slow) == [(0, False), (1, True), (2, True)]
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True)]


def test_a_member_that_falls_behind_within_a_large_patch_still_gets_it() -> None:
    world = World()
    publisher = Publisher(world)
    fast, slow = (Receiver(world.subscriber(STREAM, name, PATCH_CODECS)) for name in ("fast", "slow"))
    publisher.whole(np.zeros((100, 60), np.int32))
    world.settle()
    for receiver in (fast, slow):
        receiver.read()
    head, first, *rest = publisher.patch_frames(np.s_[:50, :], 7)
    publisher.peer.send(head)
    publisher.peer.send(first)
    slow.peer.transport.fill_up()
    for frame in rest:
        publisher.peer.send(frame)
    publisher.patched(np.s_[:50, :], 7)
    slow.peer.transport.read_on()
    world.settle()
    for receiver in (fast, slow):
        receiver.read()
        assert (receiver.offset, receiver.patches) == (1, 1)
        np.testing.assert_array_equal(receiver.versions[1], publisher.versions[1])


def test_a_member_that_loses_the_version_before_within_a_large_patch_gets_a_keyframe() -> None:
    """A small version comes while the patch is under way, and the member that lags has it conflated."""
    world = World()
    publisher = Publisher(world)
    slow = Receiver(world.subscriber(STREAM, "slow", PATCH_CODECS))
    publisher.whole(np.zeros((100, 60), np.int32))
    world.settle()
    slow.read()
    other = Publisher(world, publisher)
    frames = publisher.patch_frames(np.s_[:50, :], 7)
    for frame in frames[:2]:
        publisher.peer.send(frame)
    slow.peer.transport.fill_up()
    other.whole(np.ones((100, 60), np.int32))
    for frame in frames[2:]:
        publisher.peer.send(frame)
    publisher.patched(np.s_[:50, :], 7)
    world.settle()
    slow.peer.transport.read_on()
    world.settle()
    slow.read()
    assert slow.offset == 2
    np.testing.assert_array_equal(slow.versions[2], publisher.versions[2])
    assert not slow.peer.reader.transfers


# Receivers that take no message of this size, or come back for it.


def test_a_message_that_is_too_big_for_one_receiver_is_a_gap_for_that_receiver() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    small, unlimited = world.subscriber("wf/a", "small"), world.subscriber("wf/a", "unlimited")
    small.session.connection.max_message_bytes = len(CHUNKED) - 1
    large = publisher.large(0, CHUNKED)
    large.chunk()
    assert not small.read().transfers
    large.end()
    world.settle()
    assert payloads(unlimited) == [CHUNKED]
    assert [(gap.code, gap.first) for gap in small.read().gaps] == [(Code.MESSAGE_TOO_BIG, 0)]


@pytest.mark.parametrize("has", [1, 2])
def test_a_receiver_that_has_the_first_chunks_gets_those_behind_them_as_they_come(has: int) -> None:
    world = World()
    publisher = world.publisher("wf/a", codecs=())
    first = world.subscriber("wf/a", "first")
    large = publisher.large(0, CHUNKED)
    for _ in range(2):
        large.chunk()
    (transfer,) = first.read().transfers
    again = world.peer("again")
    again.session.connection.fall_behind().resumes[transfer] = has
    again.subscribe("wf/a")
    assert len(chunks_to(again)) == 2 - has
    large.end()
    world.settle()
    assert chunks_to(again) == list(range(has, 3))
    assert payloads(first) == [CHUNKED]


def chunks_to(peer: Peer) -> list[int]:
    """The indexes of the chunks that were written to a peer."""
    message = memoryview(b"".join(peer.transport.writes))
    return [parse_chunk(message, at).index for at in iter_frames(message) if at.opcode == Opcode.CHUNK]


def test_a_receiver_that_does_not_know_the_codec_of_the_publisher_does_not_go_on_with_its_chunks() -> None:
    world = World()
    publisher = world.publisher("wf/a", codecs=("zstd",))
    knowing = world.subscriber("wf/a", "knowing", ("zstd",))
    large = publisher.large(0, bytes(3 * CHUNK_BYTES), chain=ZSTD)
    large.chunk()
    (transfer,) = knowing.read().transfers
    again = world.peer("again")
    again.session.connection.fall_behind().resumes[transfer] = 1
    again.subscribe("wf/a")
    assert chunks_to(again) == []
    large.end()
    world.settle()
    assert payloads(knowing) == [bytes(3 * CHUNK_BYTES)]
