"""Router: what is refused, with its code, and whose sequence it uses up."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.errors import Code
from gateway.protocol.data import write_data
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import Chain, encode
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import spec_of
from gateway.protocol.wire import DATA_HEADER, FLAG_CHUNKED, Opcode
from tests.connections.frames import START_NS, message_frame, tensor_meta
from tests.connections.memory import Peer, World

PAYLOAD = b"12345678"
NO_META = write_meta([], None)


def patched(frame: list[bytes | bytearray | memoryview], at: int, value: bytes) -> bytes:
    data = bytearray(b"".join(frame))
    data[at : at + len(value)] = value
    return bytes(data)


def pair(kind: Kind = Kind.EVENT, **options: Limits | ConsumerSettings) -> tuple[World, Peer, Peer]:
    world = World(**options)  # type: ignore[arg-type]
    return world, world.publisher("wf/a", "wf/b", kind=kind), world.subscriber("wf/*")


def test_a_message_to_an_alias_that_was_never_opened() -> None:
    _world, publisher, _ = pair()
    publisher.send(message_frame(7, 1, PAYLOAD))
    (error,) = publisher.read().errors
    assert (error.code, error.alias, error.sequence, error.count) == (Code.UNKNOWN_STREAM, 7, 1, 1)


def test_messages_to_a_refused_alias_are_each_refused_the_same() -> None:
    _world, publisher, _ = pair()
    publisher.open(5, "wf/a", Kind.STATE)
    publisher.send(message_frame(5, 1, PAYLOAD), message_frame(5, 2, PAYLOAD))
    assert publisher.read().codes == [Code.KIND_MISMATCH] * 3
    assert [error.sequence for error in publisher.reader.errors] == [None, 1, 2]
    assert {error.alias for error in publisher.reader.errors} == {5}


@pytest.mark.parametrize("sequence", [0, 2, 2**64 - 1])
def test_a_sequence_that_does_not_follow(sequence: int) -> None:
    world, publisher, subscriber = pair()
    publisher.send(message_frame(0, sequence, PAYLOAD))
    assert publisher.read().codes == [Code.BAD_SEQUENCE]
    publisher.publish(0, PAYLOAD)
    world.settle()
    assert subscriber.read().offsets == [0]


def test_a_sequence_near_the_end_of_its_field_is_refused_and_nothing_else() -> None:
    _, publisher, _ = pair()
    batch = publisher.batch(0, [b"r1", b"r2", b"r3"])
    publisher.send(patched(batch, 16, b"\xff" * 8))
    assert publisher.read().codes == [Code.BAD_SEQUENCE]
    assert publisher.close_code() is None


def test_a_sequence_that_repeats_inside_of_a_run() -> None:
    world, publisher, subscriber = pair()
    publisher.publish(0, PAYLOAD)
    publisher.send(message_frame(0, 2, PAYLOAD), message_frame(0, 2, PAYLOAD), message_frame(0, 3, PAYLOAD))
    world.settle()
    assert publisher.read().codes == [Code.BAD_SEQUENCE]
    assert subscriber.read().offsets == [0, 1, 2]


def refused_frames() -> dict[str, tuple[bytes, Code]]:
    """Frames with sequence 1 that are refused on their own account."""
    meta = tensor_meta(np.zeros(2, np.float32))
    encoding, data = encode(Chain(codec="lz4"), bytes(8000), BYTE) or (None, b"")
    assert encoding is not None

    def frame(payload: bytes = bytes(8), **options: object) -> bytes:
        parts = {"stream": 0, "offset": 1, "timestamp_ns": START_NS, "meta": meta, "payload": (payload,), **options}
        return b"".join(write_data(Opcode.MESSAGE, **parts))  # type: ignore[arg-type]

    lz4_meta = tensor_meta(np.zeros(8000, np.uint8))
    unknown = bytearray(frame(bytes(data), meta=lz4_meta, encoding=encoding))
    unknown[32 + len(lz4_meta) + 8] = 99
    plan_at = 32 + len(meta)
    chunked = struct.pack("<IIQ", 1, 4096, 8)
    header = DATA_HEADER.pack(plan_at + 16, Opcode.MESSAGE, FLAG_CHUNKED, len(meta) // 8, 0, 0, 1, 0)
    behind = DATA_HEADER.pack(plan_at + 24, Opcode.MESSAGE, FLAG_CHUNKED, len(meta) // 8, 0, 0, 1, 0)
    return {
        "too long": (frame(bytes(16)), Code.SIZE_MISMATCH),
        "too short": (frame(bytes(4)), Code.SIZE_MISMATCH),
        "unknown dtype": (patched([frame()], 32, b"\x63"), Code.INVALID_TENSOR),
        "too many dimensions": (patched([frame()], 33, b"\x21"), Code.INVALID_TENSOR),
        "headers that are no JSON": (frame(b"", meta=bytes(8)[:0] + b"\0\0\0\0\0\0\0\0{nonsens"), Code.INVALID_REQUEST),
        "unknown codec": (bytes(unknown), Code.UNKNOWN_CODEC),
        "declares more than the shape": (
            frame(bytes(data), meta=lz4_meta, encoding=replace(encoding, decoded_bytes=9000)),
            Code.SIZE_MISMATCH,
        ),
        "plan with bytes behind it": (behind + meta + chunked + bytes(8), Code.SIZE_MISMATCH),
        "plan of another size": (header + meta + struct.pack("<IIQ", 1, 4096, 16), Code.SIZE_MISMATCH),
        "plan with a wrong chunk size": (header + meta + struct.pack("<IIQ", 1, 100, 8), Code.BROKEN_TRANSFER),
    }


@pytest.mark.parametrize("name", refused_frames())
def test_a_refused_message_keeps_its_sequence(name: str) -> None:
    frame, code = refused_frames()[name]
    world, publisher, subscriber = pair()
    publisher.send(frame)
    (error,) = publisher.read().errors
    assert (error.code, error.alias, error.sequence, error.count) == (code, 0, 1, 1)
    publisher.send(message_frame(0, 2, PAYLOAD, ack=True))
    world.settle()
    assert publisher.read().codes == [code]
    (ack,) = publisher.reader.acks
    assert (ack.sequence, ack.offset) == (2, 0)
    assert subscriber.read().offsets == [0]


def test_a_refused_batch_keeps_all_its_sequences() -> None:
    world, publisher, subscriber = pair()
    publisher.send(patched(publisher.batch(0, [b"r1", b"r2", b"r3"]), 40, b"\x63"))
    (error,) = publisher.read().errors
    assert (error.code, error.sequence, error.count) == (Code.INVALID_TENSOR, 3, 3)
    publisher.publish(0, PAYLOAD)
    world.settle()
    assert subscriber.read().offsets == [0]


def test_a_batch_of_no_records() -> None:
    _, publisher, _ = pair()
    batch = publisher.batch(0, [b"record"])
    publisher.send(patched(batch, 32, bytes(4)))
    assert publisher.read().codes == [Code.INVALID_REQUEST]


def test_a_batch_with_headers_or_two_tensors() -> None:
    _, publisher, _ = pair()
    spec = spec_of(np.zeros(1, np.uint8), "a")
    other = spec_of(np.zeros(1, np.uint8), "b")
    for sequence, meta in enumerate((write_meta([spec], {"a": 1}), write_meta([spec, other], None), NO_META), 1):
        publisher.send(
            write_data(Opcode.BATCH, stream=0, offset=sequence, timestamp_ns=0, meta=meta, count=1, payload=(bytes(9),))
        )
    assert publisher.read().codes == [Code.INVALID_TENSOR] * 3


def test_a_message_during_a_transfer_is_refused_and_keeps_its_sequence() -> None:
    world, publisher, subscriber = pair()
    large = publisher.large(0, bytes(10_000))
    large.chunk()
    publisher.publish(0, PAYLOAD)
    assert publisher.read().codes == [Code.BROKEN_TRANSFER]
    large.end()
    publisher.publish(0, PAYLOAD)
    publisher.publish(1, PAYLOAD)
    world.settle()
    assert publisher.read().codes == [Code.BROKEN_TRANSFER]
    assert len(subscriber.read().arrivals) == 3


def test_a_message_to_an_address_is_refused() -> None:
    _, publisher, _ = pair()
    publisher.open(9, "agent:somebody")
    publisher.publish(9, PAYLOAD)
    assert publisher.read().codes == [Code.INVALID_NAME]


def test_a_codec_that_was_not_agreed_on() -> None:
    world = World()
    publisher = world.publisher("wf/a", codecs=("lz4",))
    publisher.publish(0, bytes(1000), chain=Chain(codec="zstd"))
    assert publisher.read().codes == [Code.UNKNOWN_CODEC]


@pytest.mark.parametrize("step_id", [17, 18, 19, 20, 21])
def test_deltas_are_not_taken_in_a_publish(step_id: int) -> None:
    _, publisher, _ = pair()
    frame = bytearray(b"".join(publisher.message(0, bytes(1000), chain=Chain(codec="lz4"))))
    frame[48:52] = bytes([step_id, 1, 1, 0])
    publisher.send(bytes(frame))
    (error,) = publisher.read().errors
    assert error.code == Code.UNKNOWN_CODEC
    assert "cannot be published" in error.message


def test_a_message_above_the_limit() -> None:
    _world, publisher, _ = pair(limits=Limits(max_message_bytes=1000))
    publisher.publish(0, bytes(1001))
    publisher.publish(0, bytes(1000), ack=True)
    publisher.large(0, bytes(8192))
    assert publisher.read().codes == [Code.MESSAGE_TOO_BIG] * 2
    assert len(publisher.reader.acks) == 1


@pytest.mark.parametrize("frame_bytes", [0, 7, 8, 31])
def test_a_first_frame_that_is_shorter_than_its_header_closes(frame_bytes: int) -> None:
    _, publisher, subscriber = pair()
    header = DATA_HEADER.pack(frame_bytes, Opcode.MESSAGE, 0, 0, 0, 0, 1, 0)
    publisher.send(header)
    assert publisher.close_code() == Code.MALFORMED_FRAME
    assert not subscriber.read().arrivals


@pytest.mark.parametrize("claimed", [2**32 - 1, 64, 0, 7, 33])
def test_a_frame_that_lies_about_its_length_closes_and_what_came_before_it_counts(claimed: int) -> None:
    world, publisher, subscriber = pair()
    publisher.publish(0, b"")
    good = message_frame(0, 2, b"")
    bad = patched(message_frame(0, 3, b""), 0, struct.pack("<I", claimed))
    publisher.send(b"".join(good) + bad)
    world.settle()
    if claimed == 33:
        assert publisher.read().codes
    else:
        assert publisher.close_code() == Code.MALFORMED_FRAME
    assert subscriber.read().offsets == [0, 1]


@pytest.mark.parametrize("kind", [Kind.COLLABORATION, Kind.CONTROL])
def test_publishes_are_refused_while_receivers_have_too_much_to_acknowledge(kind: Kind) -> None:
    world, publisher, subscriber = pair(kind, consumers=ConsumerSettings(limit_bytes=1000))
    publisher.publish(0, bytes(400))
    publisher.publish(0, bytes(400))
    world.settle()
    publisher.publish(0, PAYLOAD)
    publisher.send(publisher.batch(0, [b"r1"]))
    publisher.large(0, bytes(9000))
    assert publisher.read().codes == [Code.QUEUE_FULL] * 3
    subscriber.done("wf/a", 0, 1)
    publisher.publish(0, PAYLOAD, ack=True)
    world.settle()
    assert len(publisher.read().acks) == 1
    assert subscriber.read().offsets == [0, 1, 2]


def test_a_full_stream_holds_up_no_other_stream_of_its_publisher() -> None:
    world, publisher, subscriber = pair(Kind.COLLABORATION, consumers=ConsumerSettings(limit_bytes=1000))
    for _ in range(5):
        publisher.publish(0, bytes(400), ack=True)
    assert publisher.read().codes == [Code.QUEUE_FULL] * 2
    assert publisher.transport.is_reading()
    publisher.publish(1, PAYLOAD, ack=True)
    world.settle()
    assert [ack.alias for ack in publisher.read().acks][-1] == 1
    assert [arrival.stream for arrival in subscriber.read().arrivals][-1] == subscriber.reader.stream_id("wf/b")


def test_a_full_stream_takes_a_message_of_each_waiting_publisher_in_turn_and_nothing_past_twice_its_bound() -> None:
    world, first, subscriber = pair(Kind.COLLABORATION, consumers=ConsumerSettings(limit_bytes=10_000))
    publishers = [first, *(world.publisher("wf/a", kind=Kind.COLLABORATION) for _ in range(2))]

    def codes(size: int = 10) -> list[int]:
        for publisher in publishers:
            publisher.publish(0, bytes(size), ack=True)
        world.settle()
        return [code for publisher in publishers for code in publisher.news().codes]

    first.publish(0, bytes(20_000))  # larger than the bound: it does not count
    first.publish(0, bytes(9500))
    assert (codes(), codes()) == ([], [Code.QUEUE_FULL] * 3)
    subscriber.done("wf/a", 1)
    first.publish(0, bytes(9500))
    assert (codes(), codes()) == ([], [Code.QUEUE_FULL] * 3), "the next round"
    subscriber.done("wf/a", 2, 8)
    first.publish(0, bytes(9500))
    assert codes(9400) == [Code.QUEUE_FULL] * 2, "one was taken: more than twice 10000 bytes wait"


@pytest.mark.parametrize("size", [1000, 50_000])
def test_a_message_larger_than_the_limit_goes_beside_the_others(size: int) -> None:
    world, publisher, subscriber = pair(Kind.COLLABORATION, consumers=ConsumerSettings(limit_bytes=1000))
    publisher.large(0, bytes(size), 1, ack=True).end()
    publisher.publish(0, PAYLOAD)
    publisher.large(0, bytes(size), 2, ack=True)
    assert (publisher.read().codes, publisher.transport.reading) == ([], True)
    subscriber.done("wf/a", 0)
    world.settle()
    assert len(publisher.read().acks) == 1
