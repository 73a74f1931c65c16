"""Invariant: a payload, cut into chunks of any size, plain or encoded, comes back in one buffer of its own size."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import lz4.block
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, PeerError, ProtocolViolation, RequestRefused
from gateway.protocol.encoding import CodecStep, Encoding
from gateway.protocol.frames import Frame, bytes_of, iter_frames
from gateway.protocol.transfers import (
    WHOLE_BYTES,
    Assembler,
    Chunk,
    ChunkPlan,
    begun_chunk,
    parse_chunk,
    parse_plan,
    split_payload,
    travels_whole,
    write_chunk,
)
from gateway.protocol.wire import FLAG_ENCODED, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, Buffer, Opcode, padded

CHUNK_BYTES = st.integers(MIN_CHUNK_BYTES // 64, 3 * MIN_CHUNK_BYTES // 64).map(lambda n: n * 64)
PAYLOADS = st.lists(
    st.tuples(st.integers(0, 3 * MIN_CHUNK_BYTES), st.integers(0, 255)).map(lambda p: bytes([p[1]]) * p[0])
)


def lz4_chunk(transfer: int, index: int, data: bytes) -> list[Buffer]:
    encoding = Encoding(len(data), (CodecStep(1, 0),))
    return write_chunk(transfer, index, [lz4.block.compress(data, store_size=False)], encoding)


def chunk_in(buffers: list[Buffer]) -> Chunk:
    message = memoryview(b"".join(buffers))
    (frame,) = iter_frames(message)
    assert frame.opcode == Opcode.CHUNK
    assert len(message) == padded(frame.end)
    return parse_chunk(message, frame)


def plain_chunk(index: int, data: bytes, *, transfer: int = 1) -> Chunk:
    return Chunk(transfer, index, None, memoryview(data))


# --- plan ---------------------------------------------------------------------------------------------------------


@given(CHUNK_BYTES, st.integers(1, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_plan_round_trip(chunk_bytes: int, payload_bytes: int, transfer: int, at: int) -> None:
    plan = ChunkPlan(transfer, chunk_bytes, payload_bytes)
    assert parse_plan(bytes(at) + plan.write(), at) == plan
    last = plan.chunk_count - 1
    assert last * chunk_bytes + plan.chunk_size(last) == payload_bytes
    assert 0 < plan.chunk_size(last) <= chunk_bytes
    assert plan.chunk_size(plan.chunk_count) == 0
    assert last == 0 or plan.chunk_size(0) == chunk_bytes


@pytest.mark.parametrize(
    ("chunk_bytes", "payload_bytes"),
    [(0, 1), (4032, 1), (4100, 1), (MAX_CHUNK_BYTES + 64, 1), (2**32 - 64, 1), (4096, 0)],
)
def test_plan_that_breaks_its_rules(chunk_bytes: int, payload_bytes: int) -> None:
    with pytest.raises(InvalidArgument):
        ChunkPlan(1, chunk_bytes, payload_bytes)
    wire = np.array([1, chunk_bytes, payload_bytes, 0], np.uint32).tobytes()
    with pytest.raises(RequestRefused, match="transfer 1") as caught:
        parse_plan(wire, 0)
    assert caught.value.code == Code.BROKEN_TRANSFER


# --- splitting ----------------------------------------------------------------------------------------------------


@given(PAYLOADS, st.integers(1, 5000))
def test_split_gives_every_byte_once(payload: list[bytes], chunk_bytes: int) -> None:
    chunks = list(split_payload(payload, chunk_bytes))
    assert b"".join(itertools.chain(*chunks)) == b"".join(payload)
    assert all(bytes_of(chunk) == chunk_bytes for chunk in chunks[:-1])
    assert all(0 < bytes_of(chunk) <= chunk_bytes for chunk in chunks)


def test_split_copies_nothing() -> None:
    arrays: list[np.ndarray[Any, Any]] = [
        np.arange(3000, dtype=np.float32),
        np.empty((0, 3)),
        np.ones((7, 11)),
        np.array(5, np.int64),
    ]
    chunks = split_payload([array.data for array in arrays], 4096)
    slices = [np.frombuffer(part, np.uint8) for part in itertools.chain(*chunks)]
    assert [len(part) for part in slices] == [4096, 4096, 3808, 288, 328, 8]
    assert all(any(np.shares_memory(part, array) for array in arrays) for part in slices)


# --- chunk frames -------------------------------------------------------------------------------------------------


def test_chunk_data_is_not_copied() -> None:
    array = np.arange(100, dtype=np.uint8)
    written = write_chunk(1, 0, [array[:50].data, array[50:].data])
    assert all(np.shares_memory(np.frombuffer(part, np.uint8), array) for part in written[1:3])

    message = np.frombuffer(b"".join(written), np.uint8)
    chunk = parse_chunk(message.data, next(iter_frames(message.data)))
    assert np.shares_memory(np.frombuffer(chunk.data, np.uint8), message)
    assert chunk.data == array.data


@pytest.mark.parametrize(("flags", "size"), [(0, 15), (FLAG_ENCODED, 31)])
def test_chunk_shorter_than_its_table(flags: int, size: int) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        parse_chunk(memoryview(bytes(32)), Frame(Opcode.CHUNK, flags, 0, 0, size))
    assert caught.value.code == Code.MALFORMED_FRAME


@given(st.binary(min_size=8, max_size=60), st.integers(0, 255))
def test_random_bytes(data: bytes, flags: int) -> None:
    codes = []
    try:
        chunk = parse_chunk(memoryview(data + bytes(-len(data) % 8)), Frame(Opcode.CHUNK, flags, 0, 0, len(data)))
        assert data.endswith(chunk.data)
    except PeerError as error:
        codes.append(error.code)
    assert set(codes) <= {Code.MALFORMED_FRAME, Code.UNKNOWN_CODEC}


def test_chunk_that_does_not_fit_a_frame() -> None:
    with pytest.raises(InvalidArgument):
        write_chunk(1, 0, [np.broadcast_to(np.uint8(0), 2**32).data])


# --- putting together ---------------------------------------------------------------------------------------------


@given(PAYLOADS.filter(any), CHUNK_BYTES, st.data())
def test_chunking_round_trip(payload: list[bytes], chunk_bytes: int, data: st.DataObject) -> None:
    plan = ChunkPlan(9, chunk_bytes, bytes_of(payload))
    assembler = Assembler(plan)
    chunks = list(split_payload(payload, chunk_bytes))
    assert len(chunks) == plan.chunk_count
    for index, parts in enumerate(chunks):
        assert not assembler.complete
        encoded = data.draw(st.booleans())
        frame = lz4_chunk(9, index, b"".join(parts)) if encoded else write_chunk(9, index, parts)
        assembler.receive(chunk_in(frame))
        assert assembler.received_bytes == sum(plan.chunk_size(done) for done in range(index + 1))
    assert assembler.complete
    assert assembler.payload() == b"".join(payload)


@given(PAYLOADS.filter(any), CHUNK_BYTES, st.data())
def test_chunks_that_are_written_from_outside_are_as_good(
    payload: list[bytes], chunk_bytes: int, data: st.DataObject
) -> None:
    plan = ChunkPlan(9, chunk_bytes, bytes_of(payload))
    assembler = Assembler(plan)
    for index, parts in enumerate(split_payload(payload, chunk_bytes)):
        chunk = b"".join(parts)
        assert assembler.room(index + 1, plan.chunk_size(index + 1)) is None
        assert assembler.room(index, len(chunk) - 1) is None
        if data.draw(st.booleans()):
            room = assembler.room(index, len(chunk))
            assert room is not None
            room[:] = chunk
            assembler.filled(index)
        else:
            assembler.receive(plain_chunk(index, chunk, transfer=9))
        assert assembler.room(index, len(chunk)) is None
    assert assembler.payload() == b"".join(payload)


@given(st.binary(max_size=20_000), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_the_beginning_of_a_plain_chunk_tells_which_it_is(data: bytes, transfer: int, index: int, came: int) -> None:
    frame = memoryview(b"".join(write_chunk(transfer, index, [data])))
    found = begun_chunk(frame[:came], len(frame))
    alone = came >= 16 and 16 + len(data) == len(frame)  # no padding
    assert begun_chunk(frame[:came], len(frame) + 1) is None
    assert found == ((transfer, index, len(data)) if alone else None)


@pytest.mark.parametrize(
    ("payload_bytes", "frame_bytes", "whole"),
    [(0, 9000, True), (8192, 9000, True), (8193, 9000, False), (8000, 8000, True), (8001, 8000, False)],
    ids=["empty", "two chunks", "more", "a frame", "more than a frame"],
)
def test_a_payload_of_up_to_two_chunks_travels_whole(payload_bytes: int, frame_bytes: int, whole: bool) -> None:
    assert travels_whole(payload_bytes, 4096, frame_bytes) is whole


@pytest.mark.parametrize(
    ("chunk_bytes", "largest"),
    [
        (4096, 8192),
        (512 * 1024, WHOLE_BYTES),
        (768 * 1024, WHOLE_BYTES),
        (WHOLE_BYTES, WHOLE_BYTES),
        (1 << 22, 1 << 22),
    ],
)
def test_a_payload_above_a_chunk_travels_whole_up_to_a_size_that_every_client_takes(
    chunk_bytes: int, largest: int
) -> None:
    assert travels_whole(largest, chunk_bytes, 1 << 23)
    assert not travels_whole(largest + 1, chunk_bytes, 1 << 23)


def test_payload_is_the_buffer_itself_and_read_only() -> None:
    assembler = Assembler(ChunkPlan(1, 4096, 8))
    assembler.receive(plain_chunk(0, bytes(range(8))))
    first, second = (np.frombuffer(assembler.payload(), np.float64) for _ in range(2))
    assert np.shares_memory(first, second)
    assert not first.flags.writeable
    assert first.flags.aligned


def test_xor_takes_the_same_place_of_its_base() -> None:
    generator = np.random.default_rng(1)
    base, payload = (generator.integers(0, 256, 5000, np.uint8) for _ in range(2))
    delta = (base ^ payload).tobytes()
    assembler = Assembler(ChunkPlan(1, 4096, 5000))
    for index, data in enumerate((delta[:4096], delta[4096:])):
        encoding = Encoding(len(data), (CodecStep(17, 1),))
        assembler.receive(Chunk(1, index, encoding, memoryview(data)), base=base.data)
    assert assembler.payload() == payload.data


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(plain_chunk(0, bytes(4096)), id="again"),
        pytest.param(plain_chunk(2, bytes(808)), id="left one out"),
        pytest.param(plain_chunk(2**32 - 1, b""), id="behind the last"),
        pytest.param(plain_chunk(1, bytes(4096), transfer=2), id="another transfer"),
        pytest.param(plain_chunk(1, bytes(4095)), id="too short"),
        pytest.param(plain_chunk(1, bytes(4097)), id="too long"),
        pytest.param(plain_chunk(1, b""), id="empty"),
        pytest.param(Chunk(1, 1, Encoding(2**63, (CodecStep(1, 0),)), memoryview(b"x")), id="declares too much"),
    ],
)
def test_broken_transfer(chunk: Chunk) -> None:
    assembler = Assembler(ChunkPlan(1, 4096, 9000))
    assembler.receive(plain_chunk(0, bytes(4096)))
    with pytest.raises(RequestRefused) as caught:
        assembler.receive(chunk)
    assert caught.value.code == Code.BROKEN_TRANSFER

    with pytest.raises(RequestRefused, match="expects no further chunk"):
        assembler.receive(plain_chunk(1, bytes(4096)))


def test_chunk_after_the_last() -> None:
    assembler = Assembler(ChunkPlan(1, 4096, 4096))
    assembler.receive(plain_chunk(0, bytes(4096)))
    with pytest.raises(RequestRefused) as caught:
        assembler.receive(plain_chunk(1, b""))
    assert caught.value.code == Code.BROKEN_TRANSFER


@pytest.mark.parametrize("size", [999, 1001])
def test_chunk_that_decodes_to_another_size(size: int) -> None:
    data = lz4.block.compress(bytes(size), store_size=False)
    assembler = Assembler(ChunkPlan(1, 4096, 1000))
    with pytest.raises(RequestRefused) as caught:
        assembler.receive(Chunk(1, 0, Encoding(1000, (CodecStep(1, 0),)), memoryview(data)))
    assert caught.value.code == Code.CORRUPT_PAYLOAD
    assert not assembler.complete


def test_end_before_the_last_chunk() -> None:
    assembler = Assembler(ChunkPlan(1, 4096, 5000))
    assembler.receive(plain_chunk(0, bytes(4096)))
    with pytest.raises(RequestRefused, match="4096 of 5000") as caught:
        assembler.payload()
    assert caught.value.code == Code.BROKEN_TRANSFER


@pytest.mark.parametrize("limit", [4999, 2**63])
def test_payload_too_big(limit: int) -> None:
    with pytest.raises(RequestRefused) as caught:
        Assembler(ChunkPlan(1, 4096, min(limit + 1, 2**62)), max_message_bytes=limit)
    assert caught.value.code == Code.MESSAGE_TOO_BIG


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_peak_memory_while_256_mb_are_put_together(codec: str) -> None:
    payload_bytes, chunk_bytes = 256 * 1024 * 1024, 512 * 1024
    data = np.arange(chunk_bytes // 4, dtype=np.float32).tobytes()
    plan = ChunkPlan(1, chunk_bytes, payload_bytes)
    tracemalloc.start()
    try:
        assembler = Assembler(plan)
        for index in range(plan.chunk_count):
            assembler.receive(chunk_in(write_chunk(1, index, [data]) if codec == "none" else lz4_chunk(1, index, data)))
        payload = assembler.payload()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert payload_bytes <= peak < 1.3 * payload_bytes
    assert payload[-chunk_bytes:] == data


def test_received_bytes_are_there_before_the_rest() -> None:
    assembler = Assembler(ChunkPlan(1, 4096, 4100))
    assert bytes(assembler.received()) == b""
    assembler.receive(plain_chunk(0, b"x" * 4096))
    assert bytes(assembler.received()) == b"x" * 4096
    assert assembler.received().readonly
    assert not assembler.complete
