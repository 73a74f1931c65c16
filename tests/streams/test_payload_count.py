"""Messages and decoded bytes of runs, and where credit cuts them."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain
from gateway.protocol.extensions import Extensions
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.wire import Opcode
from gateway.streams.payload_count import PayloadCount, count_of, split_run
from gateway.streams.run import Run, TextRun
from gateway.streams.stream import Stream
from tests.connections.frames import encoded

STREAM = Stream(StreamId(7), StreamName("wf/events"), Kind.EVENT, Epoch(1))
LZ4 = Chain(codec="lz4")


def frame(payload: bytes, *, records: int = 0, headers: bool = False, chain: Chain | None = None) -> tuple[bytes, int]:
    """A frame with its padding, and its number of messages."""
    encoding, data = (None, payload) if chain is None else encoded(chain, payload)
    buffers = write_data(
        Opcode.BATCH if records else Opcode.MESSAGE,
        stream=7,
        offset=0,
        timestamp_ns=1,
        meta=write_meta([], {"step": 1} if headers else None),
        count=records or None,
        encoding=encoding,
        extensions=Extensions(deadline_ns=5) if headers else None,
        payload=(data,),
    )
    return b"".join(buffers), records or 1


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (frame(b"abc"), PayloadCount(1, 3)),
        (frame(b""), PayloadCount(1, 0)),
        (frame(b"abc", headers=True), PayloadCount(1, 3)),
        (frame(bytes(40), records=10), PayloadCount(1, 40)),
        (frame(bytes(5000), chain=LZ4), PayloadCount(1, 5000)),
    ],
    ids=["plain", "empty", "with headers and extensions", "record batch", "encoded"],
)
def test_a_frame_is_one_message_of_its_decoded_size(made: tuple[bytes, int], expected: PayloadCount) -> None:
    assert count_of([Run.of_frames(STREAM, 0, [made])]) == expected
    assert count_of([Run.of_frames(STREAM, 0, [made, frame(b"xy"), made])]) == PayloadCount(3, 2 * expected.nbytes + 2)


def test_a_frame_in_several_buffers_is_counted_by_its_first() -> None:
    buffers = write_data(Opcode.MESSAGE, stream=7, offset=0, timestamp_ns=1, payload=(bytes(100),))
    assert count_of([Run.of_frame(STREAM, 0, buffers)]) == PayloadCount(1, 100)


def test_text_is_counted_as_it_was_written_and_not_cut() -> None:
    text = TextRun(STREAM, 0, 5, (b"...",), messages=4, payload_bytes=70)
    assert count_of([text]) == PayloadCount(4, 70)
    assert split_run(text, 1, 1) == (text, None, PayloadCount(4, 70))


@given(
    sizes=st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 0, 3])), min_size=1, max_size=12),
    messages=st.integers(1, 14),
    nbytes=st.integers(1, 200),
)
def test_a_run_is_cut_behind_the_last_message_for_which_there_is_credit(
    sizes: list[tuple[int, int]], messages: int, nbytes: int
) -> None:
    frames = [frame(bytes(size * max(records, 1)), records=records) for size, records in sizes]
    run = Run.of_frames(STREAM, 10, frames)
    expected, left, bytes_left = 0, messages, nbytes
    for size, records in sizes:
        if left <= 0 or bytes_left <= 0:
            break
        left, bytes_left, expected = left - 1, bytes_left - size * max(records, 1), expected + 1
    taken, rest, payloads = split_run(run, messages, nbytes)
    assert payloads == PayloadCount(messages - left, nbytes - bytes_left) == count_of([taken])
    cut = sum([count for _, count in frames[:expected]])
    assert (taken.first, taken.count) == (10, cut)
    assert bytes(taken.joined()) == b"".join([data for data, _ in frames[:expected]])
    if expected == len(frames):
        assert rest is None
    else:
        assert rest is not None
        assert (rest.first, rest.last) == (10 + cut, run.last)
        assert bytes(rest.joined()) == b"".join([data for data, _ in frames[expected:]])
        assert taken.newest().last_count == frames[expected - 1][1]
