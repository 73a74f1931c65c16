"""Frames that are joined at once give what they give one by one."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode

from gateway.protocol.wire import FRAME_START
from gateway.websocket.alike_frames import ALIKE_FRAMES, JOIN_COST, MOST_FRAMES, join_alike
from gateway.websocket.frame_reader import CUT_COST, Foreign
from gateway.websocket.read_memory import READ_BYTES
from tests.websocket.test_frame_reader import Sent, by_library, by_reader, library, reader_of


def protocol_frame(size: int, number: int = 0, frame_bytes: int | None = None) -> bytes:
    """A payload of ``size`` bytes that holds one frame of the protocol, which may lie about its length."""
    start = FRAME_START.pack(size if frame_bytes is None else frame_bytes, 0x10, 0, 0)
    return start + number.to_bytes(4, "little") * (size // 4 - FRAME_START.size // 4)


def sent(payloads: list[bytes], *, masked: bool = True) -> bytes:
    """The payloads as a client sends them, or a server."""
    return b"".join(Sent(Opcode.BINARY, payload, mask=os.urandom(4)).wire(masked=masked) for payload in payloads)


def split(message: bytes) -> list[bytes]:
    """The frames of the protocol in a message; the message itself if they are not whole."""
    found, at = [], 0
    while at < len(message):
        padded_bytes = (int.from_bytes(message[at : at + 4], "little") + 7) & -8
        if not padded_bytes or at + padded_bytes > len(message):
            return [message]
        found.append(message[at : at + padded_bytes])
        at += padded_bytes
    return found


stretches = st.lists(
    st.tuples(
        st.integers(1, 3 * ALIKE_FRAMES),
        st.sampled_from([8, 16, 24, 112, 120, 128, 136, 1000]),
        st.integers(0, 7),
        st.sampled_from([1, 2, 8, 30]),
        st.one_of(st.none(), st.tuples(st.integers(0, 3 * ALIKE_FRAMES), st.sampled_from([0, 5000, 2**32 - 1]))),
    ),
    max_size=6,
)


@pytest.mark.parametrize("masked", [True, False])
@given(stretches, st.booleans(), st.lists(st.integers(1, 4000), max_size=4))
def test_any_stretches_of_alike_frames_give_what_the_library_gives(
    masked: bool, plan: list[tuple[int, int, int, int, tuple[int, int] | None]], text: bool, cuts: list[int]
) -> None:
    """Also where a frame among them lies about its length, a text stands between, and a read ends anywhere."""
    payloads = []
    data = b""
    between = Sent(Opcode.TEXT, b"between").wire(masked=masked)
    for count, size, unpadded, packed, lie in plan:
        frames = [protocol_frame(size, number, max(size - unpadded, 8)) for number in range(count * packed)]
        if lie is not None and lie[0] < len(frames):
            frames[lie[0]] = protocol_frame(size, lie[0], lie[1])
        stretch = [b"".join(frames[at : at + packed]) for at in range(0, len(frames), packed)]
        payloads += stretch
        data += sent(stretch, masked=masked) + (between if text else b"")
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    got, _ = by_reader(pieces, masked=masked)
    expected = [frame for payload in payloads for frame in split(payload)]
    assert [frame for opcode, _, message in got if opcode == Opcode.BINARY for frame in split(message)] == expected
    assert [
        message for opcode, _, message in by_library(library(masked=masked), data) if opcode == Opcode.BINARY
    ] == payloads


@pytest.mark.parametrize("count", [2 * ALIKE_FRAMES, 64, 65, 300])
@pytest.mark.parametrize("size", [8, 16, 64, 120, 128, 4096])
def test_they_become_one_message(size: int, count: int) -> None:
    payloads = [protocol_frame(size, number) for number in range(min(count, READ_BYTES // (size + 8)))]
    [(_, _, message)] = by_reader([sent(payloads)])[0]
    assert message == b"".join(payloads)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_two_with_many_frames_of_the_protocol_become_one_message(count: int) -> None:
    payloads = [b"".join(protocol_frame(64, 15 * number + k) for k in range(15)) for number in range(count)]
    [(_, _, message)] = by_reader([sent(payloads)])[0]
    assert message == b"".join(payloads)


def test_those_of_a_server_stay_apart() -> None:
    payloads = [protocol_frame(64, number) for number in range(2 * ALIKE_FRAMES)]
    got, _ = by_reader([sent(payloads, masked=False)], masked=False)
    assert [message for _, _, message in got] == payloads


def test_a_step_joins_few_of_them_often_or_many_at_once() -> None:
    """Neither stretches that end soon, nor what only begins like them, make a step long."""
    group = [protocol_frame(64)] * ALIKE_FRAMES + [protocol_frame(72)]
    liar = [protocol_frame(64)] * ALIKE_FRAMES + [protocol_frame(64, frame_bytes=0)]
    for payloads in (group, liar):
        reader = reader_of()
        data = sent(payloads * 60)
        reader.buffer()[: len(data)] = data
        reader.receive(len(data))
        assert reader.more
        cut_bytes = len(data) - reader.keep()
        assert cut_bytes <= CUT_COST // JOIN_COST * len(sent(payloads))


def test_those_before_one_that_differs_are_joined() -> None:
    data = sent([protocol_frame(64)] * 30 + [protocol_frame(64, frame_bytes=1000)] + [protocol_frame(64)] * 3)
    source = memoryview(bytearray(data))
    joined = join_alike(source, 0, 34, 6, 64)
    assert bytes(joined) == protocol_frame(64) * 30
    assert not join_alike(source, 10 * 70, 24, 6, 64)


def test_frames_that_are_too_short_to_be_any_are_not_joined() -> None:
    source = memoryview(bytearray(sent([protocol_frame(8, frame_bytes=5)] * 40)))
    assert not join_alike(source, 0, 40, 6, 8)


@pytest.mark.parametrize("size", [4, 20, 60])
def test_what_is_no_whole_frame_of_the_protocol_is_not_joined(size: int) -> None:
    source = memoryview(bytearray(sent([struct.pack("<I", size).ljust(size, b"\0")] * 40)))
    assert not join_alike(source, 0, 40, 6, size)


def test_the_buffer_is_its_own() -> None:
    source = memoryview(bytearray(sent([protocol_frame(64, 7)] * 40)))
    joined = join_alike(source, 0, 40, 6, 64)
    source[:] = bytes(len(source))
    assert bytes(joined) == protocol_frame(64, 7) * 40
    assert not joined.readonly


def test_a_read_full_of_them_is_cut_at_once() -> None:
    reader = reader_of()
    data = sent([protocol_frame(112)] * (READ_BYTES // 118))
    assert len(data) // 118 > CUT_COST
    reader.buffer()[: len(data)] = data
    found = reader.receive(len(data))
    assert not reader.more
    assert b"".join(part for part in found if not isinstance(part, Foreign)) == protocol_frame(112) * (len(data) // 118)


def test_most_frames_of_any_length_are_joined_in_steps() -> None:
    source = memoryview(bytearray(sent([protocol_frame(16)] * (MOST_FRAMES + 100))))
    joined = join_alike(source, 0, MOST_FRAMES, 6, 16)
    assert len(joined) == MOST_FRAMES * 16
