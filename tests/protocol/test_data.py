"""Invariant: a data frame is cut into the blocks it was put together from; random bytes only give documented errors."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, PeerError, ProtocolViolation, RequestRefused
from gateway.protocol.data import DataFrame, parse_data, write_data
from gateway.protocol.encoding import CodecStep, Encoding
from gateway.protocol.extensions import Extensions
from gateway.protocol.frames import Frame, iter_frames
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import (
    DATA_HEADER,
    DATA_OPCODES,
    FLAG_ACK,
    FLAG_CHUNKED,
    FLAG_ENCODED,
    FLAG_EXTENDED,
    FLAG_FAILED,
    MAX_BATCH_RECORDS,
    Buffer,
    Opcode,
    padded,
)
from tests.protocol.strategies import EXTENSIONS

ROUTE: dict[str, Any] = {"stream": 7, "offset": 12, "timestamp_ns": 1_770_000_000_000_000_000}
LZ4 = Encoding(24, (CodecStep(1, 0),))
PLAN = ChunkPlan(3, 4096, 5000)

U32 = st.integers(0, 2**32 - 1)


def read(buffers: list[Buffer]) -> DataFrame:
    message = memoryview(b"".join(buffers))
    (frame,) = iter_frames(message)
    assert len(message) == padded(frame.end)
    assert not any(message[frame.end :])
    return parse_data(message, frame)


def refusal_of(message: bytes) -> PeerError:
    (frame,) = iter_frames(message)
    with pytest.raises(PeerError) as caught:
        parse_data(memoryview(message), frame)
    return caught.value


@given(
    opcode=st.sampled_from(sorted(DATA_OPCODES)),
    route=st.tuples(U32, U32, st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1)),
    flags=st.sampled_from([0, FLAG_ACK, FLAG_FAILED, FLAG_ACK | FLAG_FAILED]),
    count=st.integers(1, MAX_BATCH_RECORDS),
    meta=st.binary(max_size=9).map(lambda unit: unit * 8),
    body=st.one_of(
        st.fixed_dictionaries({"payload": st.lists(st.binary())}),
        st.fixed_dictionaries({"payload": st.lists(st.binary()), "encoding": st.just(LZ4)}),
        st.fixed_dictionaries({"plan": st.just(PLAN)}),
    ),
    extensions=st.none() | EXTENSIONS,
)
def test_round_trip(
    opcode: int,
    route: tuple[int, int, int, int],
    flags: int,
    count: int,
    meta: bytes,
    body: dict[str, Any],
    extensions: Extensions | None,
) -> None:
    stream, publisher, offset, timestamp_ns = route
    plan, encoding = body.get("plan"), body.get("encoding")
    written = write_data(
        opcode,
        stream=stream,
        publisher=publisher,
        offset=offset,
        timestamp_ns=timestamp_ns,
        flags=flags,
        meta=meta,
        count=count if opcode == Opcode.BATCH else None,
        extensions=extensions,
        **body,
    )
    flags |= FLAG_CHUNKED if plan else FLAG_ENCODED if encoding else 0
    flags |= FLAG_EXTENDED if extensions else 0
    assert read(written) == DataFrame(
        opcode,
        flags,
        *route,
        count if opcode == Opcode.BATCH else 1,
        memoryview(meta),
        encoding,
        plan,
        memoryview(b"".join(body.get("payload", []))),
        extensions,
    )


@given(st.binary(min_size=8, max_size=120), st.sampled_from(sorted(DATA_OPCODES)), st.integers(0, 3), st.integers(0, 6))
def test_random_bytes(data: bytes, opcode: int, flags: int, meta_units: int) -> None:
    start = struct.pack("<IBBH", len(data), opcode, flags, meta_units)
    message = memoryview(start + data[8:] + bytes(-len(data) % 8))
    codes = []
    try:
        parsed = parse_data(message, Frame(opcode, flags, meta_units, 0, len(data)))
        assert len(parsed.meta) == 8 * meta_units
        assert len(parsed.payload) <= len(data) - DATA_HEADER.size - len(parsed.meta)
    except PeerError as error:
        codes.append(error.code)
    assert set(codes) <= {
        Code.MALFORMED_FRAME,
        Code.INVALID_REQUEST,
        Code.UNKNOWN_CODEC,
        Code.BROKEN_TRANSFER,
        Code.SIZE_MISMATCH,
        Code.CORRUPT_PAYLOAD,
    }


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100_000])
def test_payload_is_not_copied(size: int) -> None:
    array = np.arange(size, dtype=np.uint8)
    written = write_data(Opcode.MESSAGE, **ROUTE, payload=[array.data])
    assert np.shares_memory(np.frombuffer(written[1], np.uint8), array) or not size

    message = np.frombuffer(b"".join(written), np.uint8)
    (frame,) = iter_frames(message.data)
    parsed = parse_data(message.data, frame)
    assert np.shares_memory(np.frombuffer(parsed.payload, np.uint8), message) or not size
    assert parsed.payload.readonly


def test_every_block_starts_on_a_multiple_of_8() -> None:
    head = write_data(Opcode.BATCH, **ROUTE, meta=bytes(24), count=3, encoding=LZ4, payload=[b"abc"])[0]
    assert len(head) == 32 + 8 + 24 + 16


def test_payload_is_counted_in_bytes() -> None:
    payload = np.arange(5, dtype=np.float64)
    assert bytes(read(write_data(Opcode.MESSAGE, **ROUTE, payload=[payload.data])).payload) == payload.tobytes()


def test_meta_may_be_a_view_of_another_message() -> None:
    meta = memoryview(bytes(range(16)))
    assert read(write_data(Opcode.MESSAGE, **ROUTE, meta=meta)).meta == meta


def test_flags_of_a_frame_that_is_written_again() -> None:
    parsed = read(write_data(Opcode.MESSAGE, **ROUTE, flags=FLAG_ACK, encoding=LZ4, payload=[b"abc"]))
    assert read(write_data(Opcode.MESSAGE, **ROUTE, flags=parsed.flags)).flags == FLAG_ACK


WRITTEN = [
    pytest.param(write_data(Opcode.MESSAGE, **ROUTE), id="nothing but a header"),
    pytest.param(write_data(Opcode.REPLY, **ROUTE, publisher=3, flags=FLAG_FAILED, payload=[b"abc"]), id="reply"),
    pytest.param(write_data(Opcode.MESSAGE, **ROUTE, meta=bytes(16), encoding=LZ4, payload=[b"abc"]), id="encoded"),
    pytest.param(write_data(Opcode.BATCH, **ROUTE, meta=bytes(8), count=3, payload=[bytes(24)]), id="batch"),
    pytest.param(write_data(Opcode.MESSAGE, **ROUTE, meta=bytes(8), plan=PLAN, flags=FLAG_ACK), id="chunked"),
    pytest.param(write_data(Opcode.REQUEST, **ROUTE, extensions=Extensions(deadline_ns=-5)), id="extended"),
]


@pytest.mark.parametrize("buffers", WRITTEN)
def test_a_frame_is_written_as_it_was_read(buffers: list[Buffer]) -> None:
    assert b"".join(read(buffers).write()) == b"".join(buffers)


def test_a_frame_with_other_blocks_has_their_flags() -> None:
    frame = read(write_data(Opcode.MESSAGE, **ROUTE, flags=FLAG_ACK, meta=bytes(8), payload=[b"abc"]))

    with_deadline = read(frame._replace(extensions=Extensions(deadline_ns=9)).write())
    assert (with_deadline.flags, with_deadline.extensions) == (FLAG_ACK | FLAG_EXTENDED, Extensions(deadline_ns=9))
    assert read(with_deadline._replace(extensions=None).write()) == frame


def test_the_same_message_encoded_in_another_way() -> None:
    plain = read(write_data(Opcode.BATCH, **ROUTE, flags=FLAG_ACK, meta=bytes(8), count=2, payload=[bytes(24)]))
    payload = np.frombuffer(b"shorter", np.uint8)

    written = plain.encoded(LZ4, payload.data).write()
    assert np.shares_memory(np.frombuffer(written[1], np.uint8), payload)
    encoded = read(written)
    assert (encoded.flags, encoded.encoding, bytes(encoded.payload)) == (FLAG_ACK | FLAG_ENCODED, LZ4, b"shorter")
    assert read(encoded.encoded(None, bytes(24)).write()) == plain


@pytest.mark.parametrize(
    ("opcode", "arguments"),
    [
        pytest.param(Opcode.MESSAGE, {"count": 1}, id="count of a message"),
        pytest.param(Opcode.BATCH, {}, id="batch without count"),
        pytest.param(Opcode.BATCH, {"count": 0}, id="batch of 0"),
        pytest.param(Opcode.BATCH, {"count": MAX_BATCH_RECORDS + 1}, id="batch of too many"),
        pytest.param(Opcode.MESSAGE, {"plan": PLAN, "payload": [b"x"]}, id="chunked with a payload"),
        pytest.param(Opcode.MESSAGE, {"plan": PLAN, "encoding": LZ4}, id="chunked with an encoding"),
        pytest.param(Opcode.MESSAGE, {"meta": b"abc"}, id="meta not padded"),
        pytest.param(Opcode.MESSAGE, {"meta": bytes(8 * 65536)}, id="meta too long"),
        pytest.param(
            Opcode.MESSAGE,
            {"payload": [np.broadcast_to(np.uint8(0), 2**32 - 32).data]},
            id="payload too long",
        ),
    ],
)
def test_arguments_that_cannot_be_written(opcode: int, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        write_data(opcode, **ROUTE, **arguments)


def frame_bytes(opcode: int, body: bytes, *, flags: int = 0, meta_units: int = 0) -> bytes:
    size = DATA_HEADER.size + len(body)
    return DATA_HEADER.pack(size, opcode, flags, meta_units, 1, 0, 1, 0) + body + bytes(-size % 8)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        pytest.param(struct.pack("<IBBHQ", 16, 0x10, 0, 0, 0), Code.MALFORMED_FRAME, id="shorter than its header"),
        pytest.param(frame_bytes(0x10, bytes(8), meta_units=2), Code.MALFORMED_FRAME, id="meta past the end"),
        pytest.param(frame_bytes(0x11, b"1234"), Code.MALFORMED_FRAME, id="batch block past the end"),
        pytest.param(frame_bytes(0x11, bytes(8)), Code.INVALID_REQUEST, id="batch of 0"),
        pytest.param(frame_bytes(0x10, bytes(15), flags=FLAG_ENCODED), Code.MALFORMED_FRAME, id="encoding too short"),
        pytest.param(frame_bytes(0x10, bytes(15), flags=FLAG_CHUNKED), Code.MALFORMED_FRAME, id="plan too short"),
        pytest.param(frame_bytes(0x10, bytes(16), flags=FLAG_CHUNKED), Code.BROKEN_TRANSFER, id="plan of chunks of 0"),
        pytest.param(
            frame_bytes(0x10, PLAN.write() + b"x", flags=FLAG_CHUNKED), Code.SIZE_MISMATCH, id="bytes behind the plan"
        ),
    ],
)
def test_refused(message: bytes, code: Code) -> None:
    error = refusal_of(message)
    assert error.code == code
    assert isinstance(error, ProtocolViolation if code == Code.MALFORMED_FRAME else RequestRefused)


def test_chunked_frame_has_no_encoding_of_its_own() -> None:
    parsed = read([frame_bytes(0x10, PLAN.write(), flags=FLAG_CHUNKED | FLAG_ENCODED)])
    assert (parsed.plan, parsed.encoding, len(parsed.payload)) == (PLAN, None, 0)
