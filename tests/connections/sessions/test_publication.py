"""Publication: the frames that become of a payload do not depend on how it is cut on its way in."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.sessions.publication import OpenAlias, Publication, PublishOutcome, PublishReceipt
from gateway.errors import Code, ConnectionClosed, RequestRefused
from gateway.ids import Epoch, Offset, StreamName
from gateway.protocol.data import parse_data
from gateway.protocol.durability import Durability
from gateway.protocol.frames import Frame, iter_frames
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Abort
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.transfers import FRAME_ROOM_BYTES, Assembler, parse_chunk
from gateway.protocol.wire import FLAG_ACK, Opcode

CHUNK_BYTES = 4096
RECEIPT = PublishReceipt(StreamName("wf/a"), Kind.STATE, Epoch(1), Offset(0), Durability.MEMORY)


class Tape:
    """An :class:`~gateway.connections.sessions.publication.PublicationTarget` that keeps what it is given."""

    chunk_bytes = CHUNK_BYTES
    max_frame_bytes = 4 * CHUNK_BYTES

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.transfers = 0

    def send(self, frames: bytes) -> None:
        self.frames.append(frames)

    def time_ns(self) -> int:
        return 7

    def next_transfer(self) -> int:
        self.transfers += 1
        return self.transfers

    @property
    def messages(self) -> list[tuple[memoryview, Frame]]:
        views = [memoryview(frames) for frames in self.frames]
        return [(view, frame) for view in views for frame in iter_frames(view)]

    @property
    def opcodes(self) -> list[int]:
        return [frame.opcode for _, frame in self.messages]


class Bench:
    """A publication of ``size`` bytes, and what becomes of it."""

    def __init__(self, size: int) -> None:
        self.tape = Tape()
        self.alias = OpenAlias(5)
        self.outcomes: list[PublishOutcome] = []
        meta = write_meta([TensorSpec("", np.dtype(np.uint8), (size,))])
        self.publication = Publication(self.tape, self.alias, meta, size, self.outcomes.append)
        self.publication.begin()


def pattern(size: int) -> bytes:
    return bytes(index * 7 % 251 for index in range(size))


@given(
    size=st.integers(0, 3 * CHUNK_BYTES + 5),
    cuts=st.lists(st.integers(0, 3 * CHUNK_BYTES + 5), max_size=8),
)
def test_the_same_frames_in_any_split(size: int, cuts: list[int]) -> None:
    payload = pattern(size)
    whole, split = Bench(size), Bench(size)
    whole.publication.write(payload)
    edges = [0, *sorted(min(cut, size) for cut in cuts), size]
    for start, stop in pairwise(edges):
        split.publication.write(payload[start:stop])
    for bench in (whole, split):
        bench.publication.end()
    assert split.tape.frames == whole.tape.frames


@pytest.mark.parametrize("size", [0, 1, 7, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_a_small_payload_goes_in_one_frame_when_it_is_whole(size: int) -> None:
    bench = Bench(size)
    bench.publication.write(pattern(size))
    assert bench.tape.frames == []
    bench.publication.end()
    (message,) = bench.tape.messages
    frame = parse_data(*message)
    assert (frame.opcode, frame.stream, frame.offset, frame.flags) == (Opcode.MESSAGE, 5, 1, FLAG_ACK)
    assert bytes(frame.payload) == pattern(size)


@pytest.mark.parametrize("size", [2 * CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 4 * CHUNK_BYTES - 1])
def test_a_large_one_goes_chunk_by_chunk_as_it_comes(size: int) -> None:
    bench = Bench(size)
    payload = pattern(size)
    assert bench.tape.opcodes == [Opcode.MESSAGE]
    bench.publication.write(payload[:CHUNK_BYTES])
    assert bench.tape.opcodes == [Opcode.MESSAGE, Opcode.CHUNK]
    bench.publication.write(payload[CHUNK_BYTES:])
    bench.publication.end()
    head, *chunks, _ = bench.tape.messages
    plan = parse_data(*head).plan
    assert plan is not None
    assembler = Assembler(plan)
    for chunk in chunks:
        assembler.receive(parse_chunk(*chunk))
    assert bytes(assembler.payload()) == payload
    assert bench.tape.opcodes[-1] == Opcode.END


def test_a_payload_that_fits_no_frame_goes_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = CHUNK_BYTES + 100
    meta_bytes = len(write_meta([TensorSpec("", np.dtype(np.uint8), (largest,))]))
    monkeypatch.setattr(Tape, "max_frame_bytes", largest + meta_bytes + FRAME_ROOM_BYTES)
    opcodes = []
    for size in (largest, largest + 1):
        bench = Bench(size)
        bench.publication.write(pattern(size))
        bench.publication.end()
        opcodes.append(bench.tape.opcodes)
    assert opcodes == [[Opcode.MESSAGE], [Opcode.MESSAGE, Opcode.CHUNK, Opcode.CHUNK, Opcode.END]]


def test_what_was_handed_on_is_a_copy() -> None:
    bench = Bench(3)
    data = bytearray(b"abc")
    bench.publication.write(data)
    bench.publication.end()
    data[:] = b"xyz"
    assert b"abc" in bench.tape.frames[0]


@pytest.mark.parametrize("size", [10, 3 * CHUNK_BYTES])
def test_too_many_bytes_abort_it(size: int) -> None:
    bench = Bench(size)
    bench.publication.write(bytes(size))
    with pytest.raises(RequestRefused, match=f"payload of {size + 1} bytes, dtype and shape say {size}") as caught:
        bench.publication.write(b"x")
    assert caught.value.code == Code.SIZE_MISMATCH
    assert bench.tape.opcodes[-1:] == ([Opcode.ABORT] if size > CHUNK_BYTES else [])


@pytest.mark.parametrize("size", [10, 3 * CHUNK_BYTES])
def test_too_few_abort_it(size: int) -> None:
    bench = Bench(size)
    bench.publication.write(bytes(size - 1))
    with pytest.raises(RequestRefused, match=f"payload of {size - 1} bytes, dtype and shape say {size}"):
        bench.publication.end()
    assert bench.outcomes == []
    assert bench.alias.publication is None


def test_an_abort_names_its_code_and_calls_nobody() -> None:
    bench = Bench(3 * CHUNK_BYTES)
    bench.publication.abort(Code.INTERNAL)
    bench.publication.abort()
    assert Abort.parse(*bench.tape.messages[-1]) == Abort(1, Code.INTERNAL)
    assert bench.tape.opcodes == [Opcode.MESSAGE, Opcode.ABORT]
    assert bench.outcomes == []
    bench.publication.settle(RECEIPT)
    assert bench.outcomes == []


def test_the_first_outcome_counts() -> None:
    bench = Bench(1)
    bench.publication.settle(RECEIPT)
    bench.publication.settle(ConnectionClosed(1001, "late"))
    bench.publication.abort()
    assert bench.outcomes == [RECEIPT]
    assert bench.publication.outcome is RECEIPT


def test_a_refused_one_sends_nothing_more() -> None:
    bench = Bench(3 * CHUNK_BYTES)
    bench.publication.settle(RequestRefused(Code.QUEUE_FULL, "full"))
    bench.publication.write(bytes(5 * CHUNK_BYTES))
    bench.publication.end()
    assert bench.tape.opcodes == [Opcode.MESSAGE]


def test_each_message_takes_the_next_sequence() -> None:
    bench = Bench(1)
    bench.publication.write(b"1")
    bench.publication.end()
    bench.publication.settle(RECEIPT)
    again = Publication(bench.tape, bench.alias, b"", 0, bench.outcomes.append)
    again.begin()
    again.end()
    assert [parse_data(*message).offset for message in bench.tape.messages] == [1, 2]
