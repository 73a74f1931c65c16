"""form_of: receivers get a message as it was published if they can, and otherwise decoded or as text."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.fanout.form import TEXTS_AT_ONCE, Work, form_of, made_now, made_of
from gateway.connections.fanout.recode import run_codecs
from gateway.connections.outbound.backfill import Found, LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.encoding import PLAIN, Chain, decode
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Gap
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import MAX_TENSORS, Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.connections.frames import BYTE, CHUNK_BYTES, encoded, message_frame
from tests.connections.memory import EVERY_CODEC, World
from tests.connections.text_messages import person
from tests.streams.frames import large_of

STREAM = Stream(StreamId(1), StreamName("wf/a"), Kind.EVENT, Epoch(1))
LZ4 = Chain(codec="lz4")
ZSTD = Chain(codec="zstd")
CHAINS = [PLAIN, LZ4, ZSTD]

Broken = tuple[int, ...]


def payload(number: int) -> bytes:
    return bytes([number]) * (100 + number)


def run_of(chains: Sequence[Chain], broken: Broken = ()) -> Run:
    """Messages of offsets 10, 11, .. encoded by these chains; the broken ones cannot be decoded."""
    frames = []
    for number, chain in enumerate(chains):
        frame = bytearray(b"".join(message_frame(1, 10 + number, payload(number), chain=chain)))
        if number in broken:
            _break(frame)
        frames.append(bytes(frame))
    data = b"".join(frames)
    return Run(STREAM, 10, len(chains), (data,), len(data), len(data) - len(frames[-1]), 1)


def _break(frame: bytearray) -> None:
    view = memoryview(frame)
    (header,) = iter_frames(view)
    parsed = parse_data(view, header)
    at = len(frame) - len(bytes(parsed.payload)) - (-len(bytes(parsed.payload)) % 8)
    frame[at:] = b"\xff" * (len(frame) - at)


def large_message(chains: Sequence[Chain]) -> LargeMessage:
    message = large_of(3, len(chains) * CHUNK_BYTES, STREAM)
    message.chunks[:] = [StoredChunk(*encoded(chain, bytes(CHUNK_BYTES))) for chain in chains]
    return message


def binary(codecs: tuple[str, ...] = ()) -> Connection:
    return World().peer("a", codecs).session.connection


def text() -> Connection:
    return person(World()).session.connection


def form_for(entry: Run | LargeMessage, receiver: Connection) -> Run | LargeForm | Work:
    return form_of(entry, receiver.format, receiver.profile.codecs)


def parts_of(work: Work) -> Sequence[Found]:
    made = made_now(work)
    assert not isinstance(made, RequestRefused)
    return made


def payloads_of(parts: Sequence[Found]) -> dict[int, bytes]:
    """By offset what a receiver reads; it must be able to."""
    found = {}
    for part in parts:
        assert isinstance(part, Run)
        view = memoryview(part.buffers[0])
        assert part.size == len(view)
        frames = list(iter_frames(view))
        assert frames[-1].start == part.last_at
        for frame in frames:
            data = parse_data(view, frame)
            found[data.offset] = bytes(data.payload if data.encoding is None else decode(data.encoding, data.payload))
    return found


@given(
    chains=st.lists(st.sampled_from(CHAINS), min_size=1, max_size=6),
    codecs=st.sampled_from([(), ("lz4",), ("zstd",), EVERY_CODEC]),
)
def test_binary_receivers_can_read_what_they_get(chains: list[Chain], codecs: tuple[str, ...]) -> None:
    run = run_of(chains)
    form = form_for(run, binary(codecs))
    as_it_came = all(chain.names <= set(codecs) for chain in chains)
    assert (form is run) == as_it_came
    parts = parts_of(form) if isinstance(form, Work) else (form,)
    assert payloads_of([part for part in parts if not isinstance(part, LargeForm)]) == {
        10 + number: payload(number) for number in range(len(chains))
    }
    assert all(run_codecs(part) <= set(codecs) for part in parts if isinstance(part, Run))


@pytest.mark.parametrize("broken", [(), (0,), (1,), (3,), (0, 1), (1, 3), (0, 1, 2, 3)])
def test_a_gap_stands_for_each_message_that_cannot_be_decoded(broken: Broken) -> None:
    form = form_for(run_of([LZ4] * 4, broken), binary())
    assert isinstance(form, Work)
    parts = parts_of(form)
    gaps = [part for part in parts if isinstance(part, Gap)]
    assert gaps == [Gap(STREAM.id, Code.CORRUPT_PAYLOAD, 10 + number, 10 + number) for number in broken]
    assert set(payloads_of([part for part in parts if isinstance(part, Run)])) == {
        10 + number for number in range(4) if number not in broken
    }
    offsets = [
        offset for part in parts if not isinstance(part, LargeForm) for offset in range(part.first, part.last + 1)
    ]
    assert offsets == [10, 11, 12, 13]


@pytest.mark.parametrize(("codecs", "made"), [((), True), (("lz4",), True), (("lz4", "zstd"), False)])
def test_chunks_are_decoded_if_one_of_them_cannot_be_read(codecs: tuple[str, ...], made: bool) -> None:
    message = large_message([PLAIN, LZ4, ZSTD])
    form = form_for(message, binary(codecs))
    assert isinstance(form, Work) == made
    if isinstance(form, Work):
        (found,) = parts_of(form)
        assert isinstance(found, LargeForm)
        assert [(chunk.encoding, bytes(chunk.data)) for chunk in found.form] == [(None, bytes(CHUNK_BYTES))] * 3
    else:
        assert form == LargeForm(message, message.chunks)


def test_chunks_that_are_decoded_already_are_used() -> None:
    message = large_message([LZ4, LZ4])
    plain = [StoredChunk(None, bytes(CHUNK_BYTES))] * 2
    message.variants[PLAIN] = plain[:1]
    assert isinstance(form_for(message, binary()), Work)
    message.variants[PLAIN] = plain
    assert form_for(message, binary()) == LargeForm(message, plain)


@pytest.mark.parametrize(("size", "long"), [(10, False), (TEXTS_AT_ONCE * 1024, True)])
def test_long_text_is_written_in_steps(size: int, long: bool) -> None:
    frame = b"".join(message_frame(1, 10, bytes(size)))
    run = Run(STREAM, 10, 1, (frame,), len(frame), 0, 1)
    receiver = text()
    form = form_for(run, receiver)
    assert isinstance(form, Work)
    assert form.brief != long
    (made,) = parts_of(form)
    assert isinstance(made, Run)
    assert (made.is_text, made.first, made.count, made.size) == (True, 10, 1, sum(map(len, made.buffers)))
    assert form_for(made, receiver) is made
    assert not run.is_text, "whoever keeps the message does not keep its text"


@pytest.mark.parametrize(
    ("tensors", "messages", "brief"),
    [(1, TEXTS_AT_ONCE // 2, True), (62, 2, True), (62, 4, False), (MAX_TENSORS, 1, False)],
)
def test_text_of_many_tensors_takes_longer(tensors: int, messages: int, brief: bool) -> None:
    meta = write_meta([TensorSpec(f"t{number}", BYTE, ()) for number in range(tensors)])
    data = bytes(8 * (tensors - 1) + 1)
    frame = b"".join(write_data(Opcode.MESSAGE, stream=1, offset=10, timestamp_ns=0, meta=meta, payload=(data,)))
    run = Run.of_frames(STREAM, 10, [(frame, 1)] * messages)
    form = form_for(run, text())
    assert isinstance(form, Work)
    assert form.brief == brief


def test_a_large_message_as_text_is_work() -> None:
    form = form_for(large_message([LZ4]), text())
    assert isinstance(form, Work)
    (made,) = parts_of(form)
    assert isinstance(made, Run)
    assert made.is_text


def test_a_failure_is_a_gap_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    run = run_of([LZ4], (0,))
    form = form_for(run, binary())
    assert isinstance(form, Work)
    gap = Gap(STREAM.id, Code.CORRUPT_PAYLOAD, 10, 10)
    with caplog.at_level(logging.WARNING):
        assert made_of(parts_of(form), run) == gap
        assert made_of(MemoryError("none left"), run) == gap
    assert [record.getMessage() for record in caplog.records] == [
        "message 10 of wf/a cannot be decoded: CORRUPT_PAYLOAD",
        "message 10 of wf/a cannot be decoded: none left",
    ]
    assert [record.exc_info is None for record in caplog.records] == [True, False], "a fault has a traceback"
    assert made_of(RequestRefused(Code.CORRUPT_PAYLOAD, "as told"), run) == gap
    assert caplog.records[2].exc_info is None
    assert made_of((run,), run) is run
    assert not caplog.records[3:]
