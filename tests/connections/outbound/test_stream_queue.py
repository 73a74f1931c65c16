"""Lane: one stream's queue: what of a state may wait, what takes its place, and what then counts as missed."""

from __future__ import annotations

import pytest

from gateway.connections.outbound.stream_queue import Cursor, StreamQueue, is_under_way
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.stream import Stream

SOURCE = Stream(StreamId(1), StreamName("wf/s"), Kind.STATE, Epoch(1))
SIZE = 64


def run(first: int, count: int = 1) -> Run:
    return Run(SOURCE, first, count, (bytes(SIZE),), SIZE, 0, count)


def cursor(offset: int, *, started: bool) -> Cursor:
    message = LargeMessage(SOURCE, Opcode.MESSAGE, 1, 0, 0, b"", ChunkPlan(offset, 4096, 10_000))
    message.offset = offset
    return Cursor(message, [], 0, started)


def lane(*entries: Run | Cursor | Gap) -> StreamQueue:
    made = StreamQueue(SOURCE)
    made.entries.extend(entries)
    made.waiting_bytes = sum([entry.size for entry in entries if not isinstance(entry, Gap)])
    return made


def test_a_newer_version_takes_the_place_of_all_that_have_not_begun() -> None:
    begun = cursor(3, started=True)
    queue = lane(begun, run(4), run(5, 3), cursor(8, started=False))
    assert queue.conflate(9) == 5
    assert list(queue.entries) == [begun]
    assert is_under_way(begun)
    assert queue.waiting_bytes == begun.size


@pytest.mark.parametrize("entry", [run(5), cursor(5, started=False)])
def test_a_version_that_takes_its_own_place_is_not_missed(entry: Run | Cursor) -> None:
    assert lane(run(4), entry).conflate(5) == 1


def test_of_a_batch_whose_last_record_comes_again_the_others_are_missed() -> None:
    assert lane(run(3, 3)).conflate(5) == 2


def test_a_version_that_is_sent_once_more_is_not_missed_either() -> None:
    queue = lane()
    assert queue.conflate(5, again=True) == 0
    queue.entries.append(run(5))
    assert queue.conflate(6) == 0


def test_a_version_that_was_not_sent_yet_is_missed_although_it_was_asked_for_again() -> None:
    queue = lane(run(5))
    assert queue.conflate(5, again=True) == 0
    queue.entries.append(run(5))
    assert queue.conflate(6) == 1


def test_a_gap_is_no_message() -> None:
    assert lane(Gap(1, 5207, 2, 2), run(3)).conflate(4) == 1


def test_deltas_may_wait_up_to_twice_the_size_of_what_they_stand_for() -> None:
    queue = lane(run(1), run(2))
    assert queue.has_room_for_delta(SIZE, 2 * SIZE)
    assert queue.has_room_for_delta(2 * SIZE, 2 * SIZE)
    assert not queue.has_room_for_delta(2 * SIZE + 1, 2 * SIZE)


def test_a_cursor_may_weigh_less_than_its_message() -> None:
    message = cursor(1, started=False).message
    assert Cursor(message, [], 0, started=False).size == 10_000
    assert Cursor(message, [], 0, started=False, size=300).size == 300
