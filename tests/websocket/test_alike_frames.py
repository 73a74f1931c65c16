"""Frames that are joined at once give what they give one by one."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Opcode

from gateway.protocol.wire import FRAME_START
from gateway.websocket.alike_frames import ALIKE_FRAMES, MOST_FRAMES, join_alike
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
        st.one_of(st.none(), st.tuples(st.integers(0, 3 * ALIKE_FRAMES), st.sampled_from([0, 5000, 2**32 - 1]))),
    ),
    max_size=6,
)


@pytest.mark.parametrize("masked", [True, False])
@given(stretches, st.booleans(), st.lists(st.integers(1, 4000), max_size=4))
def test_any_stretches_of_alike_frames_give_what_the_library_gives(
    masked: bool, plan: list[tuple[int, int, int, tuple[int, int] | None]], text: bool, cuts: list[int]
) -> None:
    """Also where a frame among them lies about its length, a text stands between, and a read ends anywhere."""
    payloads = []
    data = b""
    between = Sent(Opcode.TEXT, b"between").wire(masked=masked)
    for count, size, unpadded, lie in plan:
        stretch = [protocol_frame(size, number, max(size - unpadded, 8)) for number in range(count)]
        if lie is not None and lie[0] < count:
            stretch[lie[0]] = protocol_frame(size, lie[0], lie[1])
        payloads += stretch
        data += sent(stretch, masked=masked) + (between if text else b"")
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    got, _ = by_reader(pieces, masked=masked)
    assert [frame for opcode, _, message in got if opcode == Opcode.BINARY for frame in split(message)] == payloads
    assert [
        message for opcode, _, message in by_library(library(masked=masked), data) if opcode == Opcode.BINARY
    ] == payloads


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", [16, 64, 120, 128, 4096])
def test_they_become_one_message(size: int, masked: bool) -> None:
    payloads = [protocol_frame(size, number) for number in range(2 * ALIKE_FRAMES)]
    [(_, _, message)] = by_reader([sent(payloads, masked=masked)], masked=masked)[0]
    assert message == b"".join(payloads)


def test_those_before_one_that_differs_are_joined() -> None:
    data = sent([protocol_frame(64)] * 20 + [protocol_frame(64, frame_bytes=1000)] + [protocol_frame(64)] * 3)
    source = memoryview(bytearray(data))
    joined = join_alike(source, 0, len(source), 6, 64, 4)
    assert bytes(joined) == protocol_frame(64) * 20
    assert not join_alike(source, 5 * 70, len(source), 6, 64, 4)


@pytest.mark.parametrize("size", [8, 20, 60])
def test_what_is_no_whole_frame_of_the_protocol_is_not_joined(size: int) -> None:
    source = memoryview(bytearray(sent([struct.pack("<I", size).ljust(size, b"\0")] * 40)))
    assert not join_alike(source, 0, len(source), 6, size, 4)


def test_the_buffer_is_its_own() -> None:
    source = memoryview(bytearray(sent([protocol_frame(64, 7)] * 40)))
    joined = join_alike(source, 0, len(source), 6, 64, 4)
    source[:] = bytes(len(source))
    assert bytes(joined) == protocol_frame(64, 7) * 40


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
    joined = join_alike(source, 0, len(source), 6, 16, 4)
    assert len(joined) == MOST_FRAMES * 16
