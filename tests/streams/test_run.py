"""Run: the newest frame of a run, parts of it, and what it keeps alive."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.extensions import Identity
from gateway.protocol.messages import Kind
from gateway.streams.run import PIN_FACTOR, Run
from gateway.streams.stream import Stream
from tests.streams.frames import offsets_in, run_of

SOURCE = Stream(StreamId(1), StreamName("wf/a"), Kind.STATE, Epoch(1))


def kept_bytes(run: Run) -> int:
    """How much memory the run keeps alive."""
    views = [buffer if isinstance(buffer, memoryview) else memoryview(buffer) for buffer in run.buffers]
    return sum(memoryview(view.obj).nbytes for view in views)


def test_a_run_knows_its_last_offset() -> None:
    assert Run(SOURCE, 5, 3, (bytes(24),), 24, 16, 1).last == 7


def test_the_newest_of_one_frame_is_the_run_itself() -> None:
    run = Run(SOURCE, 5, 1, (bytearray(64),), 64, 0, 1)
    assert run.newest() is run


def test_the_newest_of_several_frames_is_the_last() -> None:
    data = bytearray(range(48))
    newest = Run(SOURCE, 5, 3, (data,), 48, 32, 1).newest()
    assert (newest.first, newest.count, newest.size) == (7, 1, 16)
    assert b"".join(newest.buffers) == bytes(range(32, 48))
    assert newest.newest() is newest


def test_the_newest_is_found_once() -> None:
    run = Run(SOURCE, 5, 2, (bytes(32),), 32, 16, 1)
    assert run.newest() is run.newest()


def test_the_last_frame_may_be_a_record_batch() -> None:
    newest = Run(SOURCE, 5, 4, (bytes(48),), 48, 16, 3).newest()
    assert (newest.first, newest.count, newest.last_count, newest.last) == (6, 3, 3, 8)


def test_a_small_frame_does_not_keep_a_large_buffer_alive() -> None:
    whole = bytes(64 * 1024)
    newest = Run(SOURCE, 0, 1, (memoryview(whole)[64:128],), 64, 0, 1).newest()
    assert kept_bytes(newest) <= 64 * PIN_FACTOR


def test_a_small_payload_does_not_keep_a_large_message_alive() -> None:
    """Of a larger frame only the header is copied; its payload is a slice of the WebSocket message."""
    for whole in (bytes(8 << 20), np.empty(8 << 20, np.uint8).data):
        payload = memoryview(whole)[1024 : 1024 + 20_000]
        newest = Run(SOURCE, 0, 1, (bytearray(48), payload), 48 + 20_000, 0, 1).newest()
        assert b"".join(newest.buffers) == bytes(48) + bytes(payload)
        assert kept_bytes(newest) <= (48 + 20_000) * PIN_FACTOR


def test_what_fills_most_of_its_buffer_is_not_copied() -> None:
    whole = np.empty(100_000, np.uint8).data
    payload = whole[64:]
    newest = Run(SOURCE, 0, 1, (bytearray(48), payload), 48 + len(payload), 0, 1).newest()
    assert newest.buffers[1] is payload


def test_a_run_that_is_held_for_long_is_copied_once_if_it_pins_much_more() -> None:
    whole = bytearray(1 << 20)
    run = Run(SOURCE, 5, 2, (memoryview(whole)[64:144],), 80, 40, 1)
    held = run.unpinned()
    assert held is run.unpinned()
    assert kept_bytes(held) <= 80 * PIN_FACTOR
    assert (held.first, held.count, held.size, held.last_at, held.last_count) == (5, 2, 80, 40, 1)
    assert b"".join(held.buffers) == bytes(80)
    assert held.newest().first == 6


def test_a_run_that_pins_little_is_held_as_it_is() -> None:
    run = Run(SOURCE, 5, 1, (bytearray(100),), 100, 0, 1)
    assert run.unpinned() is run


@given(st.lists(st.none() | st.integers(1, 9), min_size=1, max_size=8), st.data())
def test_a_part_holds_the_frames_of_its_offsets(counts: list[int | None], data: st.DataObject) -> None:
    run = run_of(5, counts)
    first = data.draw(st.integers(0, run.last))
    last = data.draw(st.integers(max(first, run.first), run.last + 3))
    part = run.part(first, last)
    expected: list[int] = []
    at = 5
    for count in counts:
        frame = range(at, at + (count or 1))
        if frame[-1] >= first and frame[0] <= last:
            expected += frame
        at = frame[-1] + 1
    assert offsets_in(part) == expected
    assert (part.first, part.last) == (expected[0], expected[-1])
    assert part.size == sum(map(len, part.buffers))
    assert offsets_in(part.newest())[-1] == expected[-1]
    assert part.last_count == len(offsets_in(part.newest()))


@given(st.lists(st.none() | st.integers(1, 9), min_size=1, max_size=8))
def test_its_frames_are_runs_of_their_own(counts: list[int | None]) -> None:
    run = run_of(5, counts)
    run.identity = Identity(7, 100)
    singles = list(run.frames())
    assert [offset for single in singles for offset in offsets_in(single)] == offsets_in(run)
    assert [single.count for single in singles] == [count or 1 for count in counts]
    for single in singles:
        assert single.identity == Identity(7, 100 + single.first - 5)
        assert (single.last_at, single.last_count) == (0, single.count)
        assert single.size == sum(map(len, single.buffers)) == len(b"".join(single.buffers))


def test_one_of_its_frames_does_not_keep_the_others_alive() -> None:
    single, *_ = run_of(0, [None] * 1000).frames()
    assert kept_bytes(single) == single.size


def test_a_run_of_one_frame_knows_its_size_and_joins_its_buffers() -> None:
    run = Run.of_frame(SOURCE, 5, [bytearray(48), memoryview(bytes(range(16)))], 3)
    assert (run.first, run.last, run.size, run.last_at, run.last_count) == (5, 7, 64, 0, 3)
    assert run.joined() == bytes(48) + bytes(range(16))
    data = bytes(48)
    assert Run.of_frame(SOURCE, 5, (data,)).joined().obj is data
