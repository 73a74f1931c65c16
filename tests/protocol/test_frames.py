"""Invariant: whatever the bytes, iter_frames gives frames within bounds, in order, or MALFORMED_FRAME."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, ProtocolViolation
from gateway.protocol.frames import (
    Frame,
    body_of,
    bytes_of,
    check_frame_bytes,
    check_table,
    frame_at,
    iter_frames,
    only_frame,
    with_payload,
)
from gateway.protocol.wire import FRAME_START, padded


def frame_of(opcode: int, body: bytes, *, flags: int = 0, meta_units: int = 0) -> bytes:
    size = FRAME_START.size + len(body)
    return FRAME_START.pack(size, opcode, flags, meta_units) + body + bytes(-size % 8)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535), st.binary()), min_size=1))
def test_frames_come_back_as_they_were_joined(parts: list[tuple[int, int, int, bytes]]) -> None:
    message = b"".join(frame_of(opcode, body, flags=flags, meta_units=units) for opcode, flags, units, body in parts)
    frames = list(iter_frames(message))
    assert [(f.opcode, f.flags, f.meta_units, bytes(body_of(memoryview(message), f))) for f in frames] == parts
    assert all(frame.start % 8 == 0 for frame in frames)


def check_frames(message: bytes) -> None:
    at = 0
    refusal = None
    try:
        for frame in iter_frames(message):
            assert frame.start == at
            assert at + 8 <= frame.end <= len(message)
            at = padded(frame.end)
    except ProtocolViolation as error:
        refusal = error.code
    assert refusal == Code.MALFORMED_FRAME if at < len(message) or not message else refusal is None


@given(st.binary(max_size=200))
def test_random_bytes(message: bytes) -> None:
    check_frames(message)


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(0, 100))
def test_random_lengths(lengths: list[int], extra: int) -> None:
    check_frames(b"".join(struct.pack("<IBBH", n, 0x10, 0, 0) + bytes(n & 24) for n in lengths) + bytes(extra & ~7))


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="empty"),
        pytest.param(bytes(7), id="shorter than a frame"),
        pytest.param(bytes(8), id="frame_bytes 0"),
        pytest.param(FRAME_START.pack(7, 0x10, 0, 0), id="frame_bytes 7"),
        pytest.param(FRAME_START.pack(9, 0x10, 0, 0), id="past the end by 1"),
        pytest.param(FRAME_START.pack(0xFFFF_FFFF, 0x10, 0, 0), id="past the end by 4 GB"),
        pytest.param(frame_of(0x10, b"abc") + bytes(4), id="not a multiple of 8"),
        pytest.param(frame_of(0x10, b"abc")[:11], id="without padding"),
    ],
)
def test_malformed(message: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        list(iter_frames(message))
    assert caught.value.code == Code.MALFORMED_FRAME


def test_frames_before_the_malformed_one_are_given() -> None:
    frames = iter_frames(frame_of(0x1D, b"12345678") + bytes(8))
    assert next(frames) == Frame(0x1D, 0, 0, 0, 16)
    with pytest.raises(ProtocolViolation, match="frame_bytes 0 at offset 16"):
        next(frames)


@given(st.lists(st.binary(max_size=30), min_size=1))
def test_one_frame_is_the_same_as_among_all(bodies: list[bytes]) -> None:
    message = b"".join(frame_of(0x10, body) for body in bodies)
    frames = list(iter_frames(message))
    assert [frame_at(message, frame.start) for frame in frames] == frames


@pytest.mark.parametrize("frame_bytes", [0, 7, 9, 2**32 - 1])
def test_one_malformed_frame(frame_bytes: int) -> None:
    with pytest.raises(ProtocolViolation, match=f"frame_bytes {frame_bytes} at offset 8") as caught:
        frame_at(bytes(8) + FRAME_START.pack(frame_bytes, 0x10, 0, 0), 8)
    assert caught.value.code == Code.MALFORMED_FRAME


def test_body_is_a_view() -> None:
    message = bytearray(frame_of(0x01, b"{}"))
    body = body_of(memoryview(message), next(iter_frames(message)))
    message[8:10] = b"[]"
    assert bytes(body) == b"[]"


def test_table_longer_than_the_frame() -> None:
    check_table(Frame(0x1B, 0, 0, 8, 40), 32)
    with pytest.raises(ProtocolViolation, match="opcode 0x1b has 31 bytes, its table 32"):
        check_table(Frame(0x1B, 0, 0, 8, 39), 32)


def test_bytes_of_counts_bytes_not_items() -> None:
    assert bytes_of([b"ab", bytearray(3), np.zeros(5, np.float64).data]) == 45


@pytest.mark.parametrize(("size", "count"), [(8, 2), (9, 3), (15, 3), (16, 2)])
def test_payload_buffers_are_passed_on(size: int, count: int) -> None:
    payload = bytes(size)
    buffers = with_payload(bytes(8), [payload], 8 + size)
    assert len(buffers) == count
    assert buffers[1] is payload
    assert bytes_of(buffers) == padded(8 + size)


def test_frame_that_does_not_fit_its_length_field() -> None:
    check_frame_bytes(2**32 - 1)
    with pytest.raises(InvalidArgument, match="4294967296"):
        check_frame_bytes(2**32)


@given(st.lists(st.binary(max_size=24), max_size=3), st.binary(max_size=12))
def test_the_only_frame_of_a_message_is_the_one_that_all_frames_are(bodies: list[bytes], behind: bytes) -> None:
    message = b"".join([frame_of(9, body, flags=1, meta_units=2) for body in bodies]) + behind
    try:
        frames = list(iter_frames(message))
    except ProtocolViolation:
        frames = []
    assert only_frame(message) == (frames[0] if len(frames) == 1 else None)
