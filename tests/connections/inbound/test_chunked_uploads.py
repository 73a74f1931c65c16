"""Intake: large messages on their way in, and every way in which they end."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import Code
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain, Encoding, encode
from gateway.protocol.extensions import Extensions, Identity
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind, Open
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Abort, Cancel, End
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import ChunkPlan, write_chunk
from gateway.protocol.wire import FRAME_START, Opcode
from gateway.streams.large import LargeMessage
from tests.connections.asking import ask, ask_large, asker_of, member, nothing_is_left, peer_of, reply, reply_large
from tests.connections.frames import BYTE, CHUNK_BYTES, START_NS
from tests.connections.memory import EVERY_CODEC, Peer, World
from tests.connections.patches import PATCH_CODECS, STREAM, Publisher, Receiver

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
    found = encode(Chain(codec="lz4"), payload, BYTE)
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
    found = encode(Chain(codec="zstd"), bytes(1 << 20), BYTE)
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


def test_a_chunk_frame_that_is_shorter_than_its_table_closes() -> None:
    _, publisher, _ = pair()
    publisher.large(0, PAYLOAD)
    publisher.send(FRAME_START.pack(8, Opcode.CHUNK, 0, 0))
    assert publisher.close_code() == Code.MALFORMED_FRAME
    assert publisher.read().codes == [Code.MALFORMED_FRAME]


def head(sequence: int, shape: int, plan: ChunkPlan, extensions: Extensions | None = None) -> bytes:
    meta = write_meta([TensorSpec("", BYTE, (shape,))], None)
    frame = write_data(
        Opcode.MESSAGE,
        stream=0,
        offset=sequence,
        timestamp_ns=START_NS,
        meta=meta,
        plan=plan,
        extensions=extensions,
    )
    return b"".join(frame)


def test_a_plan_of_another_size_than_the_shape_is_refused_and_its_chunks_are_skipped() -> None:
    world, publisher, subscriber = pair()
    publisher.send(head(1, 9000, ChunkPlan(1, CHUNK_BYTES, 9001)))
    (error,) = publisher.read().errors
    assert (error.code, error.alias, error.sequence) == (Code.SIZE_MISMATCH, 0, 1)
    publisher.send(write_chunk(1, 0, (bytes(CHUNK_BYTES),)), End(1, 0, START_NS).write())
    world.settle()
    assert publisher.read().codes == [Code.SIZE_MISMATCH]
    assert not subscriber.read().transfers
    assert not publisher.session.transfers


def test_a_producer_goes_on_with_a_large_message_where_its_connection_was_lost() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    first = world.peer("trainer")
    first.produce(0, "wf/a")
    lost = first.large(0, PAYLOAD, 4)
    lost.chunk()
    first.drop()
    again = world.peer("trainer")
    again.produce(0, "wf/a")
    large = again.large(0, PAYLOAD, 5, ack=True, resuming=True)
    (resume,) = again.read().resumes
    assert (resume.transfer, resume.index) == (5, 1)
    large.skip(1)
    large.end()
    world.settle()
    assert [(ack.sequence, ack.offset) for ack in again.read().acks] == [(1, 0)]
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [PAYLOAD]
    assert subscriber.reader.received_chunks == 3


def test_one_that_is_resumed_without_a_first_part_begins_at_its_first_chunk() -> None:
    world, publisher, subscriber = pair()
    large = publisher.large(0, PAYLOAD, 5, resuming=True)
    (resume,) = publisher.read().resumes
    assert (resume.transfer, resume.index) == (5, 0)
    large.end()
    world.settle()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [PAYLOAD]


def test_a_message_to_be_acknowledged_keeps_its_deadline_and_the_sequence_of_its_producer() -> None:
    world = World()
    peer = world.peer("trainer")
    peer.produce(0, "wf/jobs", 3, producer=7, kind=Kind.COLLABORATION)
    deadline_ns = START_NS + 10**12
    peer.send(head(3, 5000, ChunkPlan(1, CHUNK_BYTES, 5000), Extensions(deadline_ns=deadline_ns)))
    message = peer.session.transfers[1].message
    assert isinstance(message, LargeMessage)
    assert message.deadline_ns == deadline_ns
    assert message.extensions == Extensions(identity=Identity(7, 3))


def test_a_schema_that_is_declared_under_way_ends_the_transfer_that_does_not_fit_it_and_no_other() -> None:
    world = World()
    receiver, declaring = world.subscriber("wf/s"), world.peer("declaring")
    one, two = world.peer("one"), world.peer("two")
    for peer in (one, two):
        peer.open(0, "wf/s", Kind.STATE)
    fitting, other = one.large(0, bytes(9000), ack=True), two.large(0, bytes(8000), ack=True)
    declaring.say(Open(0, "wf/s", schema={"dtype": "uint8", "shape": [9000]}))
    other.end()
    fitting.end()
    world.settle()
    assert [(error.code, error.alias, error.sequence) for error in two.read().errors] == [(Code.SCHEMA_MISMATCH, 0, 1)]
    assert [ack.offset for ack in one.read().acks] == [0]
    assert [arrival.payload for arrival in receiver.read().arrivals] == [bytes(9000)]


def test_a_large_patch_changes_the_state_at_its_end_and_fails_if_the_state_has_another_shape_by_then() -> None:
    world = World()
    publisher = Publisher(world)
    receiver = Receiver(world.subscriber(STREAM, codecs=PATCH_CODECS))
    publisher.whole(np.zeros((100, 100), np.int32))
    publisher.patch(np.s_[10:60, 20:60], 7, chunked=True)
    world.settle()
    receiver.read()
    np.testing.assert_array_equal(receiver.versions[1], publisher.versions[1])
    begin, *rest = publisher.patch_frames(np.s_[10:60, 20:60], 8)
    publisher.peer.send(begin)
    other = Publisher(world, publisher)
    other.whole(np.zeros((5, 5), np.int32))
    for frame in rest:
        publisher.peer.send(frame)
    world.settle()
    (error,) = publisher.peer.read().errors
    assert (error.alias, error.sequence) == (0, 3)
    receiver.read()
    assert receiver.versions[receiver.offset].shape == (5, 5)
    assert receiver.offset == 2


def test_a_large_request_and_its_large_reply_arrive_bit_for_bit() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    ask_large(asker, 5, PAYLOAD).end()
    world.settle()
    (request,) = worker.read().arrivals
    assert (request.opcode, request.offset, request.payload) == (Opcode.REQUEST, 5, PAYLOAD)
    answer = reply_large(worker, asker, 5, PAYLOAD[::-1])
    assert worker.session.transfers[1].asker_peer == peer_of(asker)
    answer.end()
    world.settle()
    (found,) = asker.read().arrivals
    assert (found.opcode, found.offset, found.payload) == (Opcode.REPLY, 5, PAYLOAD[::-1])
    assert nothing_is_left(world)


@pytest.mark.parametrize("chunks", [0, 1, 2])
@pytest.mark.parametrize("chain", [Chain(), Chain(codec="lz4")])
def test_a_large_request_under_way_goes_to_another_member_from_its_first_chunk_on(chunks: int, chain: Chain) -> None:
    world = World()
    first, asker = member(world, "first", codecs=EVERY_CODEC), asker_of(world)
    large = ask_large(asker, 5, PAYLOAD, chain=chain)
    for _ in range(chunks):
        large.chunk()
    world.settle()
    second = member(world, "second")
    first.drop()
    large.end()
    world.settle()
    (request,) = second.read().arrivals
    assert (request.offset, request.payload) == (5, PAYLOAD)
    reply(second, asker, 5)
    world.settle()
    assert asker.read().offsets == [5]
    assert nothing_is_left(world)


def test_a_large_request_that_was_complete_is_repeated_for_another_member() -> None:
    world = World()
    first, asker = member(world, "first"), asker_of(world)
    ask_large(asker, 5, PAYLOAD).end()
    world.settle()
    assert first.read().offsets == [5]
    second = member(world, "second")
    first.drop()
    world.settle()
    (request,) = second.read().arrivals
    assert (request.offset, request.payload, request.publisher) == (5, PAYLOAD, peer_of(asker))


def test_a_large_request_that_is_cancelled_under_way_is_aborted_for_its_receiver() -> None:
    world = World()
    worker, asker = member(world, "worker"), asker_of(world)
    large = ask_large(asker, 5, PAYLOAD)
    large.chunk()
    world.settle()
    asker.send(Cancel(0, 5).write())
    large.end()
    world.settle()
    assert [abort.code for abort in worker.read().aborts] == [Code.CANCELLED]
    assert not worker.reader.arrivals
    assert nothing_is_left(world)
    ask(asker, 5)
    world.settle()
    assert worker.read().offsets == [5]
