"""StreamQueue: what of a state may wait and what takes its place, and in which order all of it is sent."""

from __future__ import annotations

from functools import partial

import pytest

from gateway.connections.lagging.cursor import Cursor
from gateway.connections.lagging.pending_snapshot import PendingSnapshot
from gateway.connections.outbound.backfill import Backfill, Found, LargeForm
from gateway.connections.outbound.stream_queue import CATCH_UP_BYTES, StreamQueue, is_under_way
from gateway.errors import Code
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap, Replay
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.state import Newest, Patch
from gateway.streams.stream import Stream
from tests.connections.lagging.test_pending_snapshot import version_of
from tests.connections.memory import World
from tests.connections.outbound.test_outbox import Recorder, add_chunk, large, stream
from tests.connections.outbound.test_outbox import run as run_of

SOURCE = Stream(StreamId(1), StreamName("wf/s"), Kind.STATE, Epoch(1))
SIZE = 64


def run(first: int, count: int = 1) -> Run:
    return Run(SOURCE, first, count, (bytes(SIZE),), SIZE, 0, count)


def cursor(offset: int, *, started: bool) -> Cursor:
    message = LargeMessage(SOURCE, Opcode.MESSAGE, 1, 0, 0, b"", ChunkPlan(offset, 4096, 10_000))
    message.offset = offset
    return Cursor(message, [], 0, started)


def queue_of(*entries: Run | Cursor | Gap) -> StreamQueue:
    made = StreamQueue(SOURCE)
    made.entries.extend(entries)
    made.waiting_bytes = sum([entry.size for entry in entries if not isinstance(entry, Gap)])
    return made


def test_a_newer_version_takes_the_place_of_all_that_have_not_begun() -> None:
    begun = cursor(3, started=True)
    queue = queue_of(begun, run(4), run(5, 3), cursor(8, started=False))
    assert queue.conflate(9) == 5
    assert list(queue.entries) == [begun]
    assert is_under_way(begun)
    assert queue.waiting_bytes == begun.size


@pytest.mark.parametrize("entry", [run(5), cursor(5, started=False)])
def test_a_version_that_takes_its_own_place_is_not_missed(entry: Run | Cursor) -> None:
    assert queue_of(run(4), entry).conflate(5) == 1


def test_of_a_batch_whose_last_record_comes_again_the_others_are_missed() -> None:
    assert queue_of(run(3, 3)).conflate(5) == 2


def test_a_version_that_is_sent_once_more_is_not_missed_either() -> None:
    queue = queue_of()
    assert queue.conflate(5, again=True) == 0
    queue.entries.append(run(5))
    assert queue.conflate(6) == 0


def test_a_version_that_was_not_sent_yet_is_missed_although_it_was_asked_for_again() -> None:
    queue = queue_of(run(5))
    assert queue.conflate(5, again=True) == 0
    queue.entries.append(run(5))
    assert queue.conflate(6) == 1


def test_a_gap_is_no_message() -> None:
    assert queue_of(Gap(1, 5207, 2, 2), run(3)).conflate(4) == 1


def test_deltas_may_wait_up_to_twice_the_size_of_what_they_stand_for() -> None:
    queue = queue_of(run(1), run(2))
    assert queue.has_room_for_delta(SIZE, 2 * SIZE)
    assert queue.has_room_for_delta(2 * SIZE, 2 * SIZE)
    assert not queue.has_room_for_delta(2 * SIZE + 1, 2 * SIZE)


def test_a_cursor_may_weigh_less_than_its_message() -> None:
    message = cursor(1, started=False).message
    assert Cursor(message, [], 0, started=False).size == 10_000
    assert Cursor(message, [], 0, started=False, size=300).size == 300


# Sending.

EVENTS = stream(7, Kind.EVENT)


class MergingRecorder(Recorder):
    """A receiver for which the gateway merges patches."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._merger = world.core.merger

    def keyframe_of(self, patch: Patch) -> Newest | Gap | None:
        return self._merger.keyframe(patch, None, partial(self.go_on, patch.source))


def sending(*entries: Run | Cursor | Gap | Replay | Backfill | PendingSnapshot) -> tuple[StreamQueue, Recorder]:
    """A queue with these entries, and a receiver that takes all."""
    queue = StreamQueue(EVENTS)
    queue.entries.extend(entries)
    queue.waiting_bytes = sum([entry.size for entry in entries if isinstance(entry, Run | Cursor)])
    return queue, Recorder()


def sent_all(queue: StreamQueue, receiver: Recorder) -> bool:
    """Send until nothing can be sent; whether the queue is idle then."""
    while queue.send_some(receiver):
        pass
    return queue.idle


def test_small_messages_leave_together_up_to_a_bound() -> None:
    half = CATCH_UP_BYTES // 2
    queue, receiver = sending(*[run_of(EVENTS, offset, size=half) for offset in range(3)])
    assert queue.send_some(receiver)
    assert receiver.steps == [("run", 7, 0), ("run", 7, 1)]
    assert queue.waiting_bytes == half
    assert sent_all(queue, receiver)
    assert queue.waiting_bytes == 0


def test_a_signal_keeps_its_place_among_messages() -> None:
    queue, receiver = sending(
        run_of(EVENTS, 0), Gap(7, Code.QUEUE_FULL, 1, 2), Replay(7, 0, 3, 3), run_of(EVENTS, 3), run_of(EVENTS, 4)
    )
    assert sent_all(queue, receiver)
    assert receiver.steps == [
        ("run", 7, 0),
        ("gap", 7, 1),
        ("gap", 7, 2),
        ("replay", 3, 3),
        ("run", 7, 3),
        ("run", 7, 4),
    ]


def test_messages_wait_for_the_end_of_a_large_one_before_them() -> None:
    message = large(EVENTS, 3, chunks=1, offset=0, planned=2)
    queue, receiver = sending(Cursor(message, message.chunks, 0, started=False), run_of(EVENTS, 1))
    assert not sent_all(queue, receiver)
    assert receiver.steps == [("head", 7, 3), ("chunk", 3, 0)]
    add_chunk(message)
    assert sent_all(queue, receiver)
    assert receiver.steps[2:] == [("chunk", 3, 1), ("end", 7, 0), ("run", 7, 1)]
    assert queue.waiting_bytes == 0


def test_chunks_without_an_offset_are_sent_as_they_come_and_hold_nothing_up() -> None:
    message = large(EVENTS, 3, chunks=1)
    queue, receiver = sending(run_of(EVENTS, 0))
    queue.open = [Cursor(message, message.chunks, 0, started=True)]
    assert sent_all(queue, receiver)
    assert receiver.steps == [("run", 7, 0), ("chunk", 3, 0)]
    add_chunk(message)
    assert not queue.idle
    assert sent_all(queue, receiver)
    assert receiver.steps[2:] == [("chunk", 3, 1)]


def test_a_receiver_that_has_the_first_chunks_gets_the_head_and_the_others() -> None:
    message = large(EVENTS, 3, chunks=3, offset=0)
    queue, receiver = sending()
    queue.resumes[3] = 2
    queue.entries.append(queue.cursor(message, message.chunks))
    assert sent_all(queue, receiver)
    assert receiver.steps == [("head", 7, 3), ("chunk", 3, 2), ("end", 7, 0)]
    assert not queue.resumes


def test_a_receiver_that_has_all_chunks_gets_the_head_before_the_end_when_the_link_takes_it() -> None:
    message = large(EVENTS, 3, chunks=2, offset=0)
    queue, receiver = sending()
    queue.resumes[3] = 2
    queue.put(queue.cursor(message, message.chunks))
    queue.put(run_of(EVENTS, 1))
    receiver.bulk_open = False
    assert not queue.send_some(receiver)
    assert receiver.steps == []
    receiver.bulk_open = True
    assert sent_all(queue, receiver)
    assert receiver.steps == [("head", 7, 3), ("end", 7, 0), ("run", 7, 1)]
    assert queue.waiting_bytes == 0


def test_a_pending_snapshot_is_replaced_by_the_keyframe_in_its_turn() -> None:
    world = World()
    version = version_of(world, (4, 4))
    queue, _ = sending(version)
    receiver = MergingRecorder(world)
    queue.waiting_bytes = version.patch.payload_bytes
    receiver.bulk_open = False
    assert not queue.send_some(receiver)
    assert list(queue.entries) == [version]
    receiver.bulk_open = True
    assert sent_all(queue, receiver)
    assert receiver.steps == [("run", version.patch.source.id, version.patch.offset)]
    assert queue.waiting_bytes == 0


def test_a_large_keyframe_is_sent_chunk_by_chunk() -> None:
    world = World()
    version = version_of(world, (200, 200), chunked=True)
    queue, _ = sending(version)
    receiver = MergingRecorder(world)
    assert not queue.send_some(receiver)
    world.workers.step()
    assert sent_all(queue, receiver)
    kinds = [step[0] for step in receiver.steps]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("head", "end", {"chunk"})


def test_the_oldest_message_is_left_to_history_and_the_newest_stays() -> None:
    started, waiting = [large(EVENTS, number, chunks=1, offset=number) for number in (0, 1)]
    queue, _ = sending(
        Cursor(started, started.chunks, 0, started=True),
        Cursor(waiting, waiting.chunks, 0, started=False),
        run_of(EVENTS, 2),
        run_of(EVENTS, 3),
    )
    before = queue.waiting_bytes
    sizes = [queue.drop_oldest(waited_for=False) for _ in range(3)]
    assert sizes == [4096, 64, 0]
    assert queue.waiting_bytes == before - sum(sizes)
    _, hole, newest = queue.entries
    assert isinstance(hole, Backfill)
    assert (hole.first, hole.last, hole.code) == (1, 2, Code.QUEUE_FULL)
    assert isinstance(newest, Run)


def test_what_history_gives_takes_the_place_of_a_backfill() -> None:
    message = large(EVENTS, 3, chunks=1, offset=1)
    history: list[Found] = [run_of(EVENTS, 0), LargeForm(message, message.chunks)]
    queue, receiver = sending(Backfill(EVENTS, 0, 2, Code.QUEUE_FULL), run_of(EVENTS, 3))
    receiver.history = history
    assert sent_all(queue, receiver)
    assert receiver.steps == [
        ("replay", 0, 2),
        ("run", 7, 0),
        ("head", 7, 3),
        ("chunk", 3, 0),
        ("end", 7, 1),
        ("gap", 7, 2),
        ("run", 7, 3),
    ]
    assert (queue.replayed, queue.lost, queue.waiting_bytes) == (2, 1, 0)


def test_open_transfers_go_on_while_history_is_read() -> None:
    message = large(EVENTS, 3, chunks=1)
    queue, receiver = sending(Backfill(EVENTS, 0, 0, 0))
    queue.open = [Cursor(message, message.chunks, 0, started=True)]
    receiver.history, receiver.later = [run_of(EVENTS, 0)], True
    assert not sent_all(queue, receiver)
    assert receiver.steps == [("chunk", 3, 0)]
    receiver.read_on()
    assert receiver.gone_on == [EVENTS]
    assert sent_all(queue, receiver)
    assert receiver.steps[1:] == [("replay", 0, 0), ("run", 7, 0)]
