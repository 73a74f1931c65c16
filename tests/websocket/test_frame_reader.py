"""The short way gives what the WebSocket library alone would give, for any bytes in any split."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gateway.websocket.frame_reader import (
    CUT_COST,
    JOINED_MESSAGE_BYTES,
    LONG_BYTES,
    QUIET_COST,
    TEXT_COST,
    Foreign,
    FrameReader,
    Placement,
)
from gateway.websocket.read_memory import BUFFER_BYTES, DIRECT_BYTES, ReadMemory

MAX_FRAME_BYTES = 1024 * 1024

Sequences = list[list["Sent | bytes"]]
"""Frames of several kinds, each with those that belong to it."""


class Sent(NamedTuple):
    """A frame that one side sends."""

    opcode: int
    payload: bytes
    fin: bool = True
    mask: bytes = b"\x01\x02\x03\x04"

    def wire(self, *, masked: bool) -> bytes:
        """The frame in bytes."""
        first = (0x80 if self.fin else 0) | self.opcode
        size = len(self.payload)
        bit = 0x80 if masked else 0
        if size < 126:
            header = struct.pack("!BB", first, bit | size)
        elif size < 65536:
            header = struct.pack("!BBH", first, bit | 126, size)
        else:
            header = struct.pack("!BBQ", first, bit | 127, size)
        if not masked:
            return header + self.payload
        key = self.mask * (size // 4 + 1)
        return header + self.mask + bytes(a ^ b for a, b in zip(self.payload, key[:size], strict=True))


def masked(opcode: int, payload: bytes, *, fin: bool = True, mask: bytes = Sent(0, b"").mask) -> bytes:
    """A client's frame."""
    return Sent(opcode, payload, fin, mask).wire(masked=True)


def reader_of(memory: ReadMemory | None = None, *, masked: bool = True) -> FrameReader:
    """A reader of what clients send; with ``masked=False``, of what servers send."""
    return FrameReader(MAX_FRAME_BYTES, memory or ReadMemory(), masked=masked)


def library(*, masked: bool = True) -> Protocol:
    """The library's own end of an open connection, which reads masked frames or others."""
    if masked:
        return ServerProtocol(state=OPEN, max_size=MAX_FRAME_BYTES)
    return ClientProtocol(parse_uri("ws://localhost"), state=OPEN, max_size=MAX_FRAME_BYTES)


def by_library(protocol: Protocol, data: bytes) -> list[tuple[int, bool, bytes]]:
    """What the library makes of bytes."""
    protocol.receive_data(data)
    return [(e.opcode, e.fin, bytes(e.data)) for e in protocol.events_received() if isinstance(e, Frame)]


def by_reader(
    pieces: Iterable[bytes], later: Callable[[], bool] = lambda: False, *, masked: bool = True
) -> tuple[list[tuple[int, bool, bytes]], Protocol]:
    """What the short way, with the library behind it, makes of bytes that come in pieces.

    Args:
        pieces: the bytes.
        later: whether what is left of a read waits, and the read buffer is used for another connection meanwhile.
        masked: whether a client has sent them.
    """
    memory = ReadMemory()
    reader, protocol = reader_of(memory, masked=masked), library(masked=masked)
    got: list[tuple[int, bool, bytes]] = []
    for piece in pieces:
        at = 0
        while at < len(piece):
            buffer = reader.buffer()
            taken = min(len(buffer), len(piece) - at)
            buffer[:taken] = piece[at : at + taken]
            at += taken
            parts = reader.receive(taken)
            while True:
                for part in parts:
                    if isinstance(part, Foreign):
                        got += by_library(protocol, bytes(part.data))
                    elif protocol.state is OPEN:
                        got.append((Opcode.BINARY, True, bytes(part)))
                if not reader.more:
                    break
                if later():
                    assert reader.keep() > 0
                    memory.shared[:] = b"\x82" * len(memory.shared)
                parts = reader.go_on()
    return got, protocol


frames = st.one_of(
    st.binary(max_size=300).map(lambda payload: [Sent(Opcode.BINARY, payload)]),
    st.binary(max_size=300).map(lambda payload: [Sent(Opcode.BINARY, payload, mask=b"\xff\x00\x10\x77")]),
    st.text(max_size=40).map(lambda text: [Sent(Opcode.TEXT, text.encode())]),
    st.binary(max_size=125).map(lambda payload: [Sent(Opcode.PING, payload)]),
    st.binary(max_size=125).map(lambda payload: [Sent(Opcode.PONG, payload)]),
    st.tuples(st.binary(max_size=50), st.binary(max_size=50)).map(
        lambda halves: [
            Sent(Opcode.BINARY, halves[0], fin=False),
            Sent(Opcode.PING, b"between"),
            Sent(Opcode.CONT, halves[1]),
        ]
    ),
    # What breaks the rules: the library has to see all of it.
    st.just([Sent(Opcode.CONT, b"of nothing")]),
    st.just([Sent(Opcode.BINARY, b"begun", fin=False), Sent(Opcode.BINARY, b"in between")]),
    st.just([Sent(0x3, b"reserved")]),
    st.just([b"\xc2" + masked(Opcode.BINARY, b"rsv")[1:]]),
    st.just([b"\xc2\x03rsv"]),
    st.just([b"\x82\x03abc"]),
    st.just([masked(Opcode.BINARY, b"abc")]),
    st.just([struct.pack("!BBQ", 0x82, 0xFF, MAX_FRAME_BYTES + 1) + b"mask"]),
    st.just([struct.pack("!BBQ", 0x82, 0x7F, MAX_FRAME_BYTES + 1)]),
    st.just([Sent(Opcode.CLOSE, struct.pack("!H", 1000))]),
    st.binary(max_size=20).map(lambda noise: [noise]),
)


def split(sequences: Sequences, data: st.DataObject, *, masked: bool) -> tuple[bytes, list[bytes]]:
    """The bytes of frames, and the same in pieces."""
    # Fourteen bytes complete any header: the library refuses some by their first two, the short way waits for the rest.
    sent = [frame for sequence in sequences for frame in sequence]
    stream = b"".join(frame.wire(masked=masked) if isinstance(frame, Sent) else frame for frame in sent) + bytes(14)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return stream, pieces


@pytest.mark.parametrize("masked", [True, False])
@given(st.lists(frames, max_size=8), st.data())
@settings(max_examples=150)
def test_any_bytes_in_any_split_give_what_the_library_gives(
    masked: bool, sequences: Sequences, data: st.DataObject
) -> None:
    stream, pieces = split(sequences, data, masked=masked)
    reference = library(masked=masked)
    expected = by_library(reference, stream)
    got, protocol = by_reader(pieces, masked=masked)
    assert got == expected
    assert protocol.close_sent == reference.close_sent


@pytest.mark.parametrize("masked", [True, False])
@given(st.lists(frames, max_size=8), st.data())
@settings(max_examples=100)
def test_what_is_cut_bit_by_bit_gives_the_same(masked: bool, sequences: Sequences, data: st.DataObject) -> None:
    stream, pieces = split(sequences, data, masked=masked)
    expected = by_library(library(masked=masked), stream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.websocket.frame_reader.CUT_COST", 1)
        got, _ = by_reader(pieces, lambda: data.draw(st.booleans()), masked=masked)
    assert got == expected


def messages(frames: list[tuple[int, bool, bytes]]) -> list[tuple[int, bytes]]:
    """The messages that frames make, complete ones only, and the pings, pongs and closes between them."""
    found: list[tuple[int, bytes]] = []
    begun, opcode = b"", 0
    for frame_opcode, fin, data in frames:
        if frame_opcode >= Opcode.CLOSE:
            found.append((frame_opcode, data))
            continue
        opcode = frame_opcode or opcode
        begun = data if frame_opcode else begun + data
        if fin:
            found.append((opcode, begun))
    return found


@pytest.mark.parametrize("masked", [True, False])
@given(st.lists(frames, max_size=8), st.data(), st.sampled_from([1, 5, 20]))
@settings(max_examples=150)
def test_long_frames_in_fragments_give_the_same_messages(
    masked: bool, sequences: Sequences, data: st.DataObject, long_bytes: int
) -> None:
    stream, pieces = split(sequences, data, masked=masked)
    reference = library(masked=masked)
    expected = by_library(reference, stream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.websocket.frame_reader.LONG_BYTES", long_bytes)
        patch.setattr("gateway.websocket.frame_reader.CUT_COST", data.draw(st.sampled_from([1, CUT_COST])))
        got, protocol = by_reader(pieces, lambda: data.draw(st.booleans()), masked=masked)
    assert messages(got) == messages(expected)
    closes = [None if end.close_sent is None else end.close_sent.code for end in (protocol, reference)]
    # A frame that breaks a rule is refused with its first fragment; the library alone waits for its end.
    assert closes[0] == closes[1] or (closes[1] is None and closes[0] in (1002, 1009))


@pytest.mark.parametrize("opcodes", [[Opcode.TEXT], [Opcode.TEXT, Opcode.CONT], [Opcode.BINARY, Opcode.CONT]])
def test_the_library_never_holds_a_long_frame(opcodes: list[Opcode]) -> None:
    reader, protocol = reader_of(), library()
    payload = os.urandom(MAX_FRAME_BYTES // len(opcodes))
    stream = b"".join(masked(opcode, payload, fin=opcode is opcodes[-1]) for opcode in opcodes)
    got, held, at = b"", 0, 0
    while at < len(stream):
        buffer = reader.buffer()[: len(stream) - at]
        buffer[:] = stream[at : at + len(buffer)]
        at += len(buffer)
        for part in reader.receive(len(buffer)):
            assert isinstance(part, Foreign)
            events = by_library(protocol, bytes(part.data))
            got += b"".join(data for _, _, data in events)
            held = max(held, len(protocol.reader.buffer), *[len(data) for _, _, data in events], 0)
    assert got == payload * len(opcodes)
    assert held <= BUFFER_BYTES
    assert protocol.current_size is None


def test_a_frame_that_is_not_long_is_left_to_the_library_as_it_is() -> None:
    stream = masked(Opcode.TEXT, bytes(LONG_BYTES - 1))
    got, _ = by_reader([stream[:1000], stream[1000:]])
    assert got == [(Opcode.TEXT, True, bytes(LONG_BYTES - 1))]


def test_bytes_that_come_before_the_rest_is_cut_come_behind_it() -> None:
    reader = reader_of()
    pings = [masked(Opcode.PING, bytes([n])) for n in range(CUT_COST // QUIET_COST + 2)]
    half = len(pings[-1]) // 2
    stream = b"".join(pings)
    reader.buffer()[: len(stream) - half] = stream[:-half]
    (first,) = reader.receive(len(stream) - half)
    assert isinstance(first, Foreign)
    got = bytes(first.data)
    assert got == stream[: len(got)] != stream[:-half]
    reader.keep()
    reader.buffer()[:half] = stream[-half:]
    (second,) = reader.receive(half)
    assert isinstance(second, Foreign)
    assert got + bytes(second.data) == stream
    assert not reader.more


@pytest.mark.parametrize(
    ("frame", "most"),
    [
        (masked(Opcode.PING, b""), CUT_COST // QUIET_COST),
        (masked(Opcode.PONG, b"x" * 125), CUT_COST // QUIET_COST),
        (masked(Opcode.TEXT, b"{}"), CUT_COST // TEXT_COST),
        (masked(Opcode.TEXT, bytes(LONG_BYTES - 1)), 1),
        (masked(Opcode.BINARY, b""), CUT_COST),
    ],
)
def test_a_read_is_cut_into_so_many_frames_at_once(frame: bytes, most: int) -> None:
    reader = reader_of()
    stream = frame * (2 * most + 1)
    reader.buffer()[: len(stream)] = stream
    counts = []
    parts = reader.receive(len(stream))
    while True:
        counts.append(sum(len(part.data) // len(frame) if isinstance(part, Foreign) else 1 for part in parts))
        if not reader.more:
            break
        parts = reader.go_on()
    assert counts == [most, most, 1]


def test_a_cut_leaves_nothing_kept_behind_the_last_frame() -> None:
    memory = ReadMemory()
    reader = reader_of(memory)
    stream = masked(Opcode.PING, b"") * (CUT_COST // QUIET_COST) + masked(Opcode.BINARY, bytes(DIRECT_BYTES))[:1000]
    reader.buffer()[: len(stream)] = stream
    reader.receive(len(stream))
    reader.keep()
    reader.go_on()
    assert not reader.more
    assert reader._source is memory.shared


def test_byte_by_byte_is_the_same() -> None:
    stream = b"".join(masked(Opcode.BINARY, bytes([n]) * n) for n in range(200)) + masked(Opcode.TEXT, b"x" * 200)
    got, _ = by_reader(stream[n : n + 1] for n in range(len(stream)))
    assert got == by_library(library(), stream)


@pytest.mark.parametrize("size", [DIRECT_BYTES - 8, DIRECT_BYTES, DIRECT_BYTES + 3, 600_001])
@pytest.mark.parametrize("piece", [1000, 65536, 300_000])
def test_large_payloads_come_whole(size: int, piece: int) -> None:
    payload = os.urandom(size)
    stream = masked(Opcode.BINARY, b"before") + masked(Opcode.BINARY, payload, mask=b"mAsK") + masked(Opcode.PING, b"")
    got, _ = by_reader(stream[at : at + piece] for at in range(0, len(stream), piece))
    assert got == [(Opcode.BINARY, True, b"before"), (Opcode.BINARY, True, payload), (Opcode.PING, True, b"")]


def test_a_large_payload_is_read_where_it_stays() -> None:
    reader = reader_of()
    payload = os.urandom(2 * DIRECT_BYTES)
    stream = masked(Opcode.BINARY, payload)
    buffer = reader.buffer()
    first = 4096
    buffer[:first] = stream[:first]
    assert reader.receive(first) == []
    rest = reader.buffer()
    assert len(rest) == len(stream) - first
    rest[:] = stream[first:]
    (part,) = reader.receive(len(rest))
    assert isinstance(part, memoryview)
    assert bytes(part) == payload
    assert part.obj is rest.obj


@pytest.mark.parametrize("head_bytes", [0, 16, 100])
@given(
    st.lists(st.tuples(st.sampled_from([200, DIRECT_BYTES, DIRECT_BYTES + 5, 300_000]), st.booleans()), max_size=5),
    st.lists(st.integers(100, 200_000), min_size=1, max_size=4),
)
@settings(max_examples=30)
def test_large_messages_are_read_to_where_their_receiver_wants_them(
    head_bytes: int, messages: list[tuple[int, bool]], pieces: list[int]
) -> None:
    payloads = [np.random.default_rng(n).bytes(size) for n, (size, _) in enumerate(messages)]
    stream = b"".join(Sent(Opcode.BINARY, payload).wire(masked=False) for payload in payloads)
    got: list[bytes] = []
    asked: list[tuple[bytes, int]] = []

    def place(beginning: memoryview, size: int) -> Placement | None:
        asked.append((bytes(beginning), size))
        if not messages[len(got)][1] or len(beginning) < head_bytes:
            return None
        head, memory = bytes(beginning[:head_bytes]), memoryview(bytearray(size - head_bytes))
        return Placement(memory, lambda: got.append(head + bytes(memory)))

    reader = FrameReader(MAX_FRAME_BYTES, ReadMemory(), masked=False, place=place)
    at = 0
    for piece in itertools.cycle(pieces):
        buffer = reader.buffer()
        taken = min(len(buffer), piece, len(stream) - at)
        buffer[:taken] = stream[at : at + taken]
        at += taken
        got.extend(bytes(part) for part in reader.receive(taken) if not isinstance(part, Foreign))
        while reader.more:
            got.extend(bytes(part) for part in reader.go_on() if not isinstance(part, Foreign))
        if at == len(stream):
            break
    assert got == payloads
    assert all(size >= DIRECT_BYTES for _, size in asked)
    assert all(any(payload.startswith(begun) and len(payload) == size for payload in payloads) for begun, size in asked)


@pytest.mark.parametrize("piece_bytes", [50_000, 1 << 20])
def test_a_receiver_has_the_messages_before_when_it_is_asked_for_a_place(piece_bytes: int) -> None:
    taken: list[int] = []
    asked: list[list[int]] = []

    def place(beginning: memoryview, size: int) -> Placement | None:
        asked.append(list(taken))
        return Placement(memoryview(bytearray(size)), lambda: taken.append(size))

    reader = FrameReader(MAX_FRAME_BYTES, ReadMemory(), masked=False, place=place)
    sizes = [10, DIRECT_BYTES, 20, DIRECT_BYTES + 1, DIRECT_BYTES + 2]
    stream = b"".join(Sent(Opcode.BINARY, bytes(size)).wire(masked=False) for size in sizes)
    at = 0
    while at < len(stream):
        buffer = reader.buffer()
        nbytes = min(len(buffer), piece_bytes, len(stream) - at)
        buffer[:nbytes] = stream[at : at + nbytes]
        at += nbytes
        taken += [len(part) for part in reader.receive(nbytes) if not isinstance(part, Foreign)]
        while reader.more:
            taken += [len(part) for part in reader.go_on() if not isinstance(part, Foreign)]
    assert taken == sizes
    assert asked
    assert all(before == sizes[: len(before)] for before in asked)
    whole = [size for size in sizes if size >= DIRECT_BYTES]
    assert all(sizes[len(before)] in whole for before in asked)


def test_a_reader_that_has_ended_holds_no_placement() -> None:
    memory = bytearray(300_000)
    reader = FrameReader(
        MAX_FRAME_BYTES, ReadMemory(), masked=False, place=lambda *_: Placement(memoryview(memory), lambda: None)
    )
    stream = Sent(Opcode.BINARY, bytes(300_000)).wire(masked=False)
    buffer = reader.buffer()
    buffer[:5000] = stream[:5000]
    assert reader.receive(5000) == []
    with pytest.raises(BufferError):
        memory.clear()
    reader.end()
    memory.clear()


def messages_of(*payloads: bytes) -> list[bytes]:
    """What one read that brings binary messages with these payloads gives."""
    reader = reader_of()
    stream = b"".join(masked(Opcode.BINARY, payload) for payload in payloads)
    reader.buffer()[: len(stream)] = stream
    return [bytes(part) for part in reader.receive(len(stream)) if not isinstance(part, Foreign)]


def frame(size: int, frame_bytes: int | None = None) -> bytes:
    """A frame that fills a message of ``size`` bytes, or says that it has another length."""
    return (size if frame_bytes is None else frame_bytes).to_bytes(4, "little") + bytes(size - 4)


def test_small_messages_of_one_frame_that_follow_each_other_become_one() -> None:
    small = [frame(16), frame(24, 17), frame(JOINED_MESSAGE_BYTES)]
    assert messages_of(*small) == [b"".join(small)]


@pytest.mark.parametrize(
    "apart",
    [
        frame(JOINED_MESSAGE_BYTES + 8),
        frame(16) + frame(16),
        frame(32, 40),
        frame(8, 7),
        b"short",
        b"",
    ],
    ids=["large", "two frames", "longer than its message", "shorter than a header", "no frame", "empty"],
)
def test_a_message_of_another_form_is_not_joined_with_its_neighbours(apart: bytes) -> None:
    assert messages_of(frame(16), frame(16), apart, frame(24)) == [frame(16) * 2, apart, frame(24)]


def test_bytes_for_the_library_keep_their_place_between_messages() -> None:
    reader = reader_of()
    ping = masked(Opcode.PING, b"in between")
    stream = masked(Opcode.BINARY, frame(16)) * 2 + ping + masked(Opcode.BINARY, frame(16))
    reader.buffer()[: len(stream)] = stream
    first, foreign, last = reader.receive(len(stream))
    assert isinstance(foreign, Foreign)
    assert (first, bytes(foreign.data), last) == (frame(16) * 2, ping, frame(16))
