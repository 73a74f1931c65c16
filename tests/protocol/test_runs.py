"""Invariant: whatever the bytes, the runs taken apart are the frames that iter_frames gives, and fail where it does."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Code, ProtocolViolation
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.frames import Frame, iter_frames
from gateway.protocol.runs import LEAST_FRAMES, STEP_BYTES, FrameRun, count_equal, iter_runs
from gateway.protocol.wire import DATA_HEADER, FLAG_ACK, FLAG_CHUNKED, FLAG_ENCODED, FLAG_EXTENDED, Opcode

U64 = 1 << 64


def frame(offset: int, **parts: Any) -> bytes:
    """A MESSAGE of stream 7 with a payload of 12 bytes, or with whatever else the test says."""
    fields: dict[str, Any] = {
        "opcode": Opcode.MESSAGE,
        "stream": 7,
        "publisher": 3,
        "timestamp_ns": 1000 + offset % 7,
        "meta": b"m" * 8,
        "payload": [(offset % U64).to_bytes(8, "little") + b"rest"],
        **parts,
    }
    return b"".join(write_data(offset=offset % U64, **fields))


def frames(first: int, count: int, **parts: Any) -> bytes:
    return b"".join([frame(offset, **parts) for offset in range(first, first + count)])


def taken_apart(message: bytes) -> tuple[list[Frame], Code | None]:
    """The frames of all runs, and how it ended."""
    met: list[Frame] = []
    try:
        for part in iter_runs(memoryview(message)):
            met += part.frames() if isinstance(part, FrameRun) else [part]
    except ProtocolViolation as error:
        return met, Code(error.code)
    return met, None


def one_by_one(message: bytes) -> tuple[list[Frame], Code | None]:
    met: list[Frame] = []
    try:
        met.extend(iter_frames(message))
    except ProtocolViolation as error:
        return met, Code(error.code)
    return met, None


def runs_of(message: bytes) -> list[FrameRun]:
    """The runs, up to where it is malformed."""
    runs = []
    with suppress(ProtocolViolation):
        for part in iter_runs(memoryview(message)):
            if isinstance(part, FrameRun):
                runs.append(part)
    return runs


def check(message: bytes) -> None:
    assert taken_apart(message) == one_by_one(message)
    view = memoryview(message)
    for run in runs_of(message):
        assert run.count >= LEAST_FRAMES
        assert (run.last, len(run.timestamps_ns())) == (run.first + run.count - 1, run.count)
        for index, (each, timestamp_ns) in enumerate(zip(run.frames(), run.timestamps_ns(), strict=True)):
            data = parse_data(view, each)
            assert (data.stream, data.publisher, data.offset) == (run.stream, run.publisher, run.first + index)
            assert (data.flags, data.timestamp_ns, data.meta) == (run.flags, timestamp_ns, run.meta)
            assert (data.payload, data.extensions) == (run.payload(index), None)
            assert len(data.payload) == run.payload_bytes
            at = run.payload_at + index * run.stride
            assert data.payload == view[at : at + run.payload_bytes]


# Few values of each, so that frames are often alike, or nearly.
_offsets = st.integers(0, 3)
_odd_frames = st.builds(
    frame,
    offset=_offsets,
    opcode=st.sampled_from([Opcode.MESSAGE, Opcode.REPLY]),
    stream=st.integers(7, 8),
    publisher=st.integers(3, 4),
    flags=st.sampled_from([0, FLAG_ACK]),
    meta=st.sampled_from([b"", b"m" * 8, b"n" * 8]),
    payload=st.sampled_from([[], [b"twelve bytes"], [bytes(40)]]),
)
_series = st.builds(frames, st.integers(0, 5), st.integers(1, 12), stream=st.integers(7, 8))
_messages = st.lists(_odd_frames | _series, min_size=1, max_size=12).map(b"".join)


@given(_messages)
def test_runs_are_the_frames(message: bytes) -> None:
    check(message)


@given(_messages, st.data())
def test_runs_with_bytes_that_are_not_as_they_were(message: bytes, data: st.DataObject) -> None:
    broken = bytearray(message)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at] ^= data.draw(st.integers(1, 255))
    check(bytes(broken[: data.draw(st.integers(0, len(broken)))]))


@given(st.binary(max_size=300))
@example(b"")
def test_random_bytes(message: bytes) -> None:
    check(message)


@given(st.lists(st.sampled_from([0, 7, 8, 31, 32, 40]), max_size=20), st.integers(0, 100))
def test_random_lengths(lengths: list[int], extra: int) -> None:
    check(b"".join(struct.pack("<IBBH", n, 0x10, 0, 0) + bytes(n & 56) for n in lengths) + bytes(extra & ~7))


STEP = STEP_BYTES // (DATA_HEADER.size + 8)
"""Frames that are compared at once."""


@pytest.mark.parametrize("odd", [{"publisher": 9}, {"offset": 2}, {"meta": b"n" * 8}])
@pytest.mark.parametrize("count", [LEAST_FRAMES, STEP - 1, STEP, STEP + 1, 2 * STEP - 2, 2 * STEP - 1, 2 * STEP, 3000])
def test_a_run_is_as_long_as_frames_are_alike(count: int, odd: dict[str, Any]) -> None:
    message = frames(5, count) + frame(**{"offset": 5 + count, **odd}) + frames(6 + count, LEAST_FRAMES - 1)
    check(message)
    (run,) = runs_of(message)
    assert (run.first, run.count, run.payload_bytes, run.stride) == (5, count, 12, 56)


@pytest.mark.parametrize("meta_bytes", [0, STEP_BYTES // 3 & -8, STEP_BYTES])
def test_a_meta_block_may_be_long_or_empty(meta_bytes: int) -> None:
    """Of long ones few are compared at once, but two at least."""
    metas = [bytes(meta_bytes)] * 7 + [bytes([1]) * meta_bytes, bytes(meta_bytes)]
    message = b"".join(frame(offset, meta=meta) for offset, meta in enumerate(metas))
    assert [run.count for run in runs_of(message)] == [7 if meta_bytes else 9]


@given(st.lists(st.sampled_from([b"abc", b"abd", b"bbc"]), min_size=1, max_size=40), st.integers(0, 3))
def test_equal_items_are_counted_up_to_the_first_that_differs(items: list[bytes], gap: int) -> None:
    source = memoryview(b"<" + b"".join(item + bytes([number] * gap) for number, item in enumerate(items)))
    expected = next((at for at, item in enumerate(items) if item != items[0]), len(items))
    assert count_equal(source, 1, 3, 3 + gap, len(items)) == expected


def test_fewer_frames_are_no_run() -> None:
    assert runs_of(frames(0, LEAST_FRAMES - 1)) == []


def test_runs_one_behind_the_other() -> None:
    message = frames(0, 10) + frames(20, 10) + frame(30, payload=[bytes(20)]) + frames(31, 10, stream=8)
    assert [(run.stream, run.first, run.count) for run in runs_of(message)] == [(7, 0, 10), (7, 20, 10), (8, 31, 10)]
    check(message)


@pytest.mark.parametrize("parts", [{"opcode": Opcode.REPLY}, {"opcode": Opcode.BATCH, "count": 1}])
def test_only_messages_run(parts: dict[str, Any]) -> None:
    assert runs_of(b"".join(frame(offset, **parts) for offset in range(10))) == []


@pytest.mark.parametrize("flag", [FLAG_ENCODED, FLAG_CHUNKED, FLAG_EXTENDED])
def test_what_has_more_blocks_than_a_plain_message_is_no_run(flag: int) -> None:
    message = bytearray(frames(0, 10))
    message[5::56] = bytes([flag] * 10)
    assert runs_of(bytes(message)) == []


def test_a_meta_block_beyond_the_frame_is_no_run() -> None:
    message = b"".join(DATA_HEADER.pack(32, Opcode.MESSAGE, 0, 1, 7, 3, offset, 0) for offset in range(10))
    assert runs_of(message) == []


def test_streams_that_take_turns_are_no_runs() -> None:
    message = b"".join(frame(offset) + frame(offset, stream=8) for offset in range(10))
    assert runs_of(message) == []
    check(message)


@pytest.mark.parametrize(("odd", "counts"), [(1, [9]), (2, [8]), (3, [7]), (5, [5, 5])])
def test_one_frame_that_is_odd(odd: int, counts: list[int]) -> None:
    """Wherever it stands, no run goes past it."""
    parts = [frame(offset, meta=b"n" * 8) if offset == odd else frame(offset) for offset in range(11)]
    assert [run.count for run in runs_of(b"".join(parts))] == [each for each in counts if each >= LEAST_FRAMES]
    check(b"".join(parts))


def test_offsets_do_not_go_round() -> None:
    check(frames(U64 - 5, 5))
    assert [run.last for run in runs_of(frames(U64 - 5, 5))] == [U64 - 1]
    check(frames(U64 - 5, 10))
    assert all(run.last < U64 for run in runs_of(frames(U64 - 5, 10)))


def test_negative_timestamps() -> None:
    message = frames(0, 5, timestamp_ns=-1)
    assert runs_of(message)[0].timestamps_ns().tolist() == [-1] * 5


def test_a_part_of_a_run_is_a_run() -> None:
    (run,) = runs_of(frame(0, stream=8) + frames(3, 10))
    part = run.part(4, 5)
    assert (part.first, part.last, part.count) == (7, 11, 5)
    assert list(part.frames()) == list(run.frames())[4:9]
    assert [part.payload(index) for index in range(5)] == [run.payload(index) for index in range(4, 9)]
    assert (part.meta, part.timestamps_ns().tolist()) == (run.meta, run.timestamps_ns()[4:9].tolist())


def test_frames_before_the_malformed_one_are_given() -> None:
    parts = iter_runs(memoryview(frames(0, 10) + bytes(8)))
    assert isinstance(next(parts), FrameRun)
    with pytest.raises(ProtocolViolation, match="frame_bytes 0 at offset 560"):
        next(parts)
