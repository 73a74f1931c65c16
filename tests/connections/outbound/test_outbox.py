"""Outbox: lanes, kinds and bounds, without a connection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gateway.connections.lagging.queue_turns import MAX_READING
from gateway.connections.outbound.backfill import Found, LargeForm, Taken
from gateway.connections.outbound.delivery_accounts import DeliveryAccounts, SubscribedStreams
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.outbound.outbox import Outbox
from gateway.connections.outbound.stream_queue import CATCH_UP_BYTES
from gateway.errors import Code, name_of
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.data import write_data
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Error, Kind, StreamInfo
from gateway.protocol.meta import write_meta
from gateway.protocol.regions import Region
from gateway.protocol.signals import Gap, Replay
from gateway.protocol.tensors import payload_buffers, spec_of
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.span import offsets_of
from gateway.streams.state import LargePatch, Newest, Patch, PatchRun, RegionChange
from gateway.streams.stream import Stream

SIZE = 64
CHUNK = 4096
STATE = np.zeros((8, 16), np.uint8)
"""A state that can be patched."""
Step = tuple[str, int, int]


class Recorder:
    """A receiver that takes ``room`` steps, then says that it is full.

    Args:
        history: what can be read again; all that lies before the first of it, and between, is lost.
        later: reading takes until :meth:`read_on`.
    """

    def __init__(self, room: int = 1000, history: Sequence[Found] = (), *, later: bool = False) -> None:
        self.room = room
        self.history = history
        self.later = later
        self.reading: list[tuple[Taken, list[Found]]] = []
        self.gone_on: list[Source] = []
        self.bulk_open = True
        self.max_message_bytes = 1 << 30
        self.accounts = DeliveryAccounts(SubscribedStreams(Limits()))
        self.steps: list[Step] = []

    @property
    def paused(self) -> bool:
        return len(self.steps) >= self.room

    @paused.setter
    def paused(self, full: bool) -> None:
        raise AssertionError("only the transport says so")

    def keyframe_of(self, patch: Patch) -> Newest | Gap | None:
        raise AssertionError(f"no patch was queued, so that of {patch.source.name} is not asked for")

    def write_runs(self, runs: list[Run]) -> None:
        self.steps += [("run", run.source.id, offset) for run in runs for offset in range(run.first, run.last + 1)]

    def write_head(self, message: LargeMessage) -> None:
        self.steps.append(("head", message.source.id, message.plan.transfer))

    def write_chunk(self, message: LargeMessage, chunk: StoredChunk, index: int) -> None:
        assert message.chunks[index] == chunk
        self.steps.append(("chunk", message.plan.transfer, index))

    def write_end(self, message: LargeMessage) -> None:
        assert message.offset is not None
        self.steps.append(("end", message.source.id, message.offset))

    def send_signal(self, source: Source, signal: Gap | Replay | StreamInfo | Error) -> None:
        assert not isinstance(signal, Error), "no view is queued"
        if isinstance(signal, Replay):
            self.steps.append(("replay", signal.first, signal.last))
            return
        if isinstance(signal, StreamInfo):
            self.steps.append((signal.ended or "", signal.id or 0, signal.offset or 0))
            return
        name = "gap" if signal.code == Code.QUEUE_FULL else name_of(signal.code)
        self.steps += [(name, signal.stream, offset) for offset in range(signal.first, signal.last + 1)]

    def read_backfill(self, source: Source, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        found = [entry for entry in self.history if first <= offset_of(entry) <= last][:2]
        if self.later:
            self.reading.append((taken, found))
        else:
            taken(found)

    def read_on(self) -> None:
        taken, found = self.reading.pop()
        taken(found)

    def go_on(self, source: Source) -> None:
        self.gone_on.append(source)


def offset_of(entry: Found) -> int:
    return (entry.message.offset or 0) if isinstance(entry, LargeForm) else entry.first


def stream(number: int, kind: Kind) -> Stream:
    return Stream(StreamId(number), StreamName(f"wf/{number}"), kind, Epoch(1))


def run(source: Source, first: int, count: int = 1, size: int = SIZE) -> Run:
    frame = bytes(size)
    return Run(source, first, count, (frame * count,), size * count, size * (count - 1), 1)


def batch(source: Stream, first: int, count: int) -> Run:
    return Run(source, first, count, (bytes(SIZE),), SIZE, 0, count)


def large(
    source: Stream, transfer: int, chunks: int, offset: int | None = None, planned: int | None = None
) -> LargeMessage:
    plan = ChunkPlan(transfer, CHUNK, (planned or chunks) * CHUNK)
    message = LargeMessage(source, Opcode.MESSAGE, 1, 0, 0, b"", plan)
    message.offset = offset
    message.chunks += [StoredChunk(None, bytes([index]) * CHUNK) for index in range(chunks)]
    return message


def outbox_of(limit_bytes: int, max_hold_s: float = 5.0) -> Outbox:
    return Outbox(limit_bytes, max_hold_s)


def is_idle(outbox: Outbox) -> bool:
    return outbox.idle


def is_behind(outbox: Outbox, *sources: Source) -> list[Source]:
    """The streams whose publishers wait; if there are none, the receiver is not behind."""
    held_up = [source for source in sources if outbox.holds_up(source)]
    assert outbox.behind == bool(held_up)
    return held_up


def is_full(outbox: Outbox) -> bool:
    return outbox.inbox_bytes >= outbox.limit_bytes


def add_chunk(message: LargeMessage) -> None:
    message.chunks.append(StoredChunk(None, bytes([len(message.chunks)]) * CHUNK))


def drained(outbox: Outbox, room: int = 1000) -> list[Step]:
    recorder = Recorder(room)
    outbox.drain(recorder)
    return recorder.steps


def runs(number: int, offsets: Sequence[int]) -> list[Step]:
    return [("run", number, offset) for offset in offsets]


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.COLLABORATION])
def test_what_must_not_be_lost_leaves_in_order(kind: Kind) -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, kind)
    outbox.put_run(run(source, 0, 3))
    outbox.put_run(run(source, 3, 2))
    assert outbox.waiting_bytes == 5 * SIZE
    assert drained(outbox) == runs(1, range(5))
    assert is_idle(outbox)
    assert outbox.waiting_bytes == 0


def test_a_state_keeps_the_newest_message_and_counts_the_others() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    for first in (0, 3, 6):
        outbox.put_run(run(source, first, 3))
    assert outbox.conflated == 8
    assert source.conflated_messages == 8
    assert outbox.waiting_bytes == SIZE
    assert drained(outbox) == runs(1, [8])


def test_a_record_batch_of_a_state_stays_whole() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    outbox.put_run(run(source, 0))
    outbox.put_run(batch(source, 1, 4))
    assert outbox.conflated == 1
    assert drained(outbox) == runs(1, [1, 2, 3, 4])


def test_a_newer_state_replaces_a_large_one_that_has_not_begun() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    message = large(source, 9, 2, offset=0)
    outbox.put_large(message, message.chunks)
    outbox.put_run(run(source, 1))
    assert outbox.conflated == 1
    assert outbox.waiting_bytes == SIZE
    assert drained(outbox) == runs(1, [1])


def test_a_large_state_under_way_is_finished_before_the_newer_one() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    message = large(source, 9, 2, offset=0)
    outbox.put_large(message, message.chunks)
    steps = drained(outbox, room=2)
    outbox.put_run(run(source, 1))
    outbox.put_run(run(source, 2))
    assert steps + drained(outbox) == [("head", 1, 9), ("chunk", 9, 0), ("chunk", 9, 1), ("end", 1, 0), ("run", 1, 2)]
    assert outbox.conflated == 1


def test_an_event_drops_its_oldest_messages_and_says_so() -> None:
    outbox = outbox_of(3 * SIZE)
    source = stream(1, Kind.EVENT)
    for offset in range(7):
        outbox.put_run(run(source, offset))
    assert outbox.waiting_bytes == 3 * SIZE
    assert not is_idle(outbox)
    # The first one is the next to be sent, and stays.
    gaps = [("gap", 1, offset) for offset in range(1, 5)]
    assert drained(outbox) == [*runs(1, [0]), *gaps, *runs(1, [5, 6])]


def test_one_event_larger_than_the_bound_gets_through_alone() -> None:
    outbox = outbox_of(SIZE)
    source = stream(1, Kind.EVENT)
    for offset in (0, 5, 10, 15):
        outbox.put_run(run(source, offset, 5))
    assert not is_idle(outbox)
    gaps = [("gap", 1, offset) for offset in range(5, 15)]
    assert drained(outbox) == [*runs(1, range(5)), *gaps, *runs(1, range(15, 20))]
    assert is_idle(outbox)


@pytest.mark.parametrize("sizes", [(8, 0), (0, 8), (0, 0, 8), (8, 0, 0, 0)])
def test_an_event_larger_than_the_bound_costs_no_small_one_its_place_and_is_not_dropped_for_them(
    sizes: tuple[int, ...],
) -> None:
    outbox = outbox_of(7 * SIZE)
    source, other = stream(1, Kind.EVENT), stream(2, Kind.EVENT)
    outbox.put_run(run(other, 0))
    outbox.put_run(run(other, 1))
    for offset, chunks in enumerate((8, *sizes)):
        if chunks:
            message = large(source, offset, chunks, offset=offset)
            outbox.put_large(message, message.chunks)
        else:
            outbox.put_run(run(source, offset))
    steps = [(name, offset) for name, number, offset in drained(outbox) if number == 1 and name in ("run", "end")]
    assert steps == [("end" if chunks else "run", offset) for offset, chunks in enumerate((8, *sizes))]
    assert (outbox.dropped, outbox.replayed) == (0, 0)


@pytest.mark.parametrize("max_hold_s", [5.0, 0.0])
def test_a_large_event_of_each_publisher_may_wait_as_long_as_publishers_wait(max_hold_s: float) -> None:
    outbox = outbox_of(SIZE, max_hold_s)
    source = stream(1, Kind.EVENT)

    def put(offset: int, publisher: int) -> None:
        message = large(source, offset, 8, offset=offset)
        message.publisher = publisher
        outbox.put_large(message, message.chunks)

    for offset in range(5):
        put(offset, publisher=offset)
    put(5, publisher=3)
    waiting_bytes = outbox.waiting_bytes
    outbox.hold.slow = True
    put(6, publisher=6)
    assert waiting_bytes == (5 if max_hold_s else 2) * 8 * CHUNK
    assert outbox.waiting_bytes == 2 * 8 * CHUNK
    steps = [(name, offset) for name, _, offset in drained(outbox) if name in ("end", "gap")]
    assert steps == [("end", 0), *[("gap", offset) for offset in range(1, 6)], ("end", 6)]


def test_of_large_events_two_may_wait_whatever_the_bound() -> None:
    outbox = outbox_of(SIZE)
    source = stream(1, Kind.EVENT)
    for offset in range(4):
        message = large(source, offset, 8, offset=offset)
        outbox.put_large(message, message.chunks)
    steps = [(name, offset) for name, _, offset in drained(outbox) if name != "chunk"]
    assert [offset for name, offset in steps if name == "end"] == [0, 3]
    assert [offset for name, offset in steps if name == "gap"] == [1, 2]


def test_publishers_wait_for_a_receiver_once_half_of_the_bound_waits_behind_the_first_message() -> None:
    outbox = outbox_of(8 * SIZE)
    one, two, three = [stream(number, Kind.EVENT) for number in (1, 2, 3)]
    message = large(one, 9, 3, offset=0)
    outbox.put_large(message, message.chunks)
    assert not is_behind(outbox, one)
    for offset in range(2):
        outbox.put_run(run(one, 1 + offset))
        outbox.put_run(run(two, offset))
    outbox.put_run(run(two, 2))
    assert not is_behind(outbox, one, two)
    outbox.put_run(run(one, 3))
    outbox.put_run(run(three, 0))
    # Of the third stream nothing waits behind another message: its publisher need not wait.
    assert is_behind(outbox, one, two, three) == [one, two]
    drained(outbox)
    assert not is_behind(outbox, one, two, three)


def test_publishers_wait_from_the_sender_credit_on() -> None:
    outbox = outbox_of(100 * SIZE)
    one = stream(1, Kind.EVENT)
    for offset in range(10):
        outbox.put_run(run(one, offset))
    assert not is_behind(outbox, one)
    calm = [outbox.calm]
    outbox.events.set_sender_credit(4 * SIZE)
    assert not is_behind(outbox, one), "what waits already may wait"
    outbox.events.lower_crowd(3 * SIZE)
    assert outbox.events.crowd_bytes == 6 * SIZE
    outbox.events.lower_crowd(3 * SIZE)
    assert outbox.events.crowd_bytes == 4 * SIZE
    assert is_behind(outbox, one)
    assert [*calm, outbox.calm] == [True, False]
    outbox.set_bound(4 * SIZE)
    assert outbox.hold.least_bytes == 2 * SIZE
    outbox.set_bound(100 * SIZE)
    assert outbox.hold.least_bytes == 4 * SIZE


def test_publishers_wait_once_more_than_the_bound_waits_as_the_only_message_of_many_streams() -> None:
    outbox = outbox_of(8 * SIZE)
    sources = [stream(number, Kind.EVENT) for number in range(1, 11)]
    message = large(sources[0], 9, 3, offset=0)
    outbox.put_large(message, message.chunks)
    for source in sources[1:9]:
        outbox.put_run(run(source, 0))
    assert not is_behind(outbox, *sources)
    outbox.put_run(run(sources[9], 0))
    assert is_behind(outbox, *sources) == sources
    drained(outbox)
    assert not is_behind(outbox, *sources)


@pytest.mark.parametrize("chunks", [0, 8])
def test_of_many_streams_a_slow_receiver_is_owed_no_more_than_of_one(chunks: int) -> None:
    size = chunks * CHUNK or SIZE
    outbox = outbox_of(8 * size)
    sources = [stream(number, Kind.EVENT) for number in range(1, 101)]

    def put_all(offset: int) -> None:
        for source in sources:
            if chunks:
                message = large(source, source.id * 10 + offset, chunks, offset=offset)
                outbox.put_large(message, message.chunks)
            else:
                outbox.put_run(run(source, offset))

    for offset in range(2):
        put_all(offset)
    assert outbox.waiting_bytes == 200 * size
    outbox.hold.slow = True
    while outbox.give_up():
        pass
    # Beside the bound, the stream of which most waits keeps its first message and its newest one.
    assert outbox.waiting_bytes <= 10 * size
    put_all(2)
    assert outbox.waiting_bytes <= 11 * size
    recorder = Recorder(10_000)
    outbox.drain(recorder)
    for source in sources:
        steps = [
            offset for name, number, offset in recorder.steps if number == source.id and name in ("run", "end", "gap")
        ]
        assert steps == [0, 1, 2]
    assert outbox.dropped >= 300 - 11


def test_a_slow_receiver_has_not_caught_up_because_messages_without_a_history_are_lost() -> None:
    outbox = outbox_of(8 * CATCH_UP_BYTES)
    sources = [stream(number, Kind.EVENT) for number in range(1, 31)]
    for source in sources:
        outbox.put_run(run(source, 0, 1, CATCH_UP_BYTES))
    outbox.hold.slow = True
    while outbox.give_up():
        pass
    # Signals of what is lost pass, and messages wait.
    outbox.drain(Recorder(room=1))
    while any(queue.left_to_history for queue in map(outbox.queue_of, sources) if queue is not None):
        outbox.drain(Recorder(room=1))
    assert 4 < outbox.waiting_bytes / CATCH_UP_BYTES <= 9
    assert outbox.behind
    drained(outbox)
    assert not outbox.behind


def test_publishers_wait_while_messages_that_did_not_fit_are_read_from_history() -> None:
    outbox = outbox_of(2 * SIZE)
    source = stream(1, Kind.EVENT)
    sent = [run(source, offset) for offset in range(12)]
    for entry in sent:
        outbox.put_run(entry)
    recorder = Recorder(history=sent, later=True)
    outbox.drain(recorder)
    assert is_behind(outbox, source) == [source]
    while recorder.reading:
        recorder.read_on()
        outbox.go_on(source)
        outbox.drain(recorder)
    assert not is_behind(outbox, source)
    assert [offset for name, _, offset in recorder.steps if name == "run"] == list(range(12))


def test_publishers_wait_for_messages_that_did_not_fit_even_if_less_than_half_of_the_bound_waits() -> None:
    outbox = outbox_of(2 * SIZE)
    source = stream(1, Kind.EVENT)
    for offset in range(4):
        outbox.put_run(run(source, offset))
    assert outbox.waiting_bytes - SIZE <= SIZE
    assert is_behind(outbox, source) == [source]
    outbox.forget(source)
    assert not is_behind(outbox, source)


def test_no_publisher_waits_for_a_past_that_the_receiver_asked_for() -> None:
    outbox = outbox_of(4 * SIZE)
    source = stream(1, Kind.EVENT)
    outbox.put_backfill(source, 0, 99)
    outbox.put_run(run(source, 100))
    assert not is_behind(outbox, source)


def test_bytes_that_were_taken_are_counted_chunk_by_chunk() -> None:
    outbox = outbox_of(CHUNK)
    source = stream(1, Kind.EVENT)
    message = large(source, 9, 8, offset=0)
    outbox.put_large(message, message.chunks)
    outbox.put_run(run(source, 1))
    drained(outbox, room=4)
    assert outbox.taken_bytes == 3 * CHUNK
    drained(outbox)
    assert outbox.taken_bytes == 8 * CHUNK + SIZE


def test_the_stream_that_has_most_waiting_loses_first() -> None:
    outbox = outbox_of(10 * SIZE)
    noisy, quiet = stream(1, Kind.EVENT), stream(2, Kind.EVENT)
    outbox.put_run(run(quiet, 0))
    for offset in range(20):
        outbox.put_run(run(noisy, offset))
    outbox.put_run(run(quiet, 1))
    steps = drained(outbox)
    assert [step for step in steps if step[1] == 2] == runs(2, [0, 1])
    assert not [step for step in steps if step[0] == "gap" and step[1] == 2]


def test_a_stream_with_nothing_to_drop_does_not_save_the_others_from_the_bound() -> None:
    outbox = outbox_of(10 * CHUNK)
    under_way, noisy = stream(1, Kind.EVENT), stream(2, Kind.EVENT)
    message = large(under_way, 9, 8, offset=0)
    outbox.put_large(message, message.chunks)
    drained(outbox, room=2)
    for offset in range(2000):
        outbox.put_run(run(noisy, offset))
    assert outbox.waiting_bytes <= 8 * CHUNK + 10 * CHUNK


def test_collaboration_is_never_dropped_but_the_outbox_is_full() -> None:
    outbox = outbox_of(2 * SIZE)
    source, inbox = stream(1, Kind.COLLABORATION), InboxSource("agent:worker", lambda *_: None)
    outbox.put_run(run(source, 0, 9))
    outbox.put_run(run(inbox, 0, 9))
    # Messages of streams have a bound elsewhere, and the first request may be of any size.
    assert not is_full(outbox)
    outbox.put_run(run(inbox, 9, 2))
    assert is_full(outbox)
    assert len(drained(outbox)) == 20
    assert not is_full(outbox)


def test_a_large_state_takes_no_room_from_other_kinds() -> None:
    outbox = outbox_of(10 * SIZE)
    state, event, inbox = stream(1, Kind.STATE), stream(2, Kind.EVENT), InboxSource("agent:worker", lambda *_: None)
    message = large(state, 9, 8, offset=0)
    outbox.put_large(message, message.chunks)
    for offset in range(10):
        outbox.put_run(run(event, offset))
        outbox.put_run(run(inbox, offset))
        assert not is_full(outbox)
    outbox.put_run(run(inbox, 10))
    assert is_full(outbox)
    assert outbox.dropped == 0


def test_no_stream_starves_another() -> None:
    outbox = outbox_of(1 << 30)
    first, second = stream(1, Kind.EVENT), stream(2, Kind.EVENT)
    message = large(first, 9, 50, offset=0)
    outbox.put_large(message, message.chunks)
    for offset in range(4):
        outbox.put_run(run(second, offset, 1, CATCH_UP_BYTES))
    steps = drained(outbox)
    for offset in range(4):
        place = steps.index(("run", 2, offset))
        assert sum(step[0] == "chunk" for step in steps[:place]) <= offset + 1


def test_a_large_message_goes_on_where_the_receiver_fell_behind() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    message = large(source, 9, 3, planned=5)
    outbox.follow(message, message.chunks, 1)
    assert drained(outbox) == [("chunk", 9, 1), ("chunk", 9, 2)]
    assert is_idle(outbox)
    add_chunk(message)
    outbox.follow(message, message.chunks, 3)
    assert not is_idle(outbox)
    assert drained(outbox) == [("chunk", 9, 3)]
    add_chunk(message)
    message.offset = 4
    outbox.commit(message, message.chunks)
    assert drained(outbox) == [("chunk", 9, 4), ("end", 1, 4)]
    assert is_idle(outbox)
    assert outbox.queue_of(source) is None


def test_end_waits_for_what_came_before_it() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    message = large(source, 9, 2)
    outbox.put_run(run(source, 0))
    outbox.follow(message, message.chunks, 1)
    message.offset = 1
    outbox.commit(message, message.chunks)
    outbox.put_run(run(source, 2))
    assert [step for step in drained(outbox) if step[0] != "chunk"] == [("run", 1, 0), ("end", 1, 1), ("run", 1, 2)]


def test_a_receiver_that_has_every_chunk_gets_only_the_end() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    message = large(source, 9, 2, offset=0)
    outbox.commit(message, message.chunks)
    assert drained(outbox) == [("end", 1, 0)]
    assert is_idle(outbox)


def test_a_gap_never_covers_a_large_message_that_still_arrives() -> None:
    """A message under way stays, and so does the one that is sent next: only what is behind them is dropped."""
    outbox = outbox_of(4 * CHUNK)
    source = stream(1, Kind.EVENT)
    message = large(source, 9, 2)
    outbox.put_run(run(source, 5))
    outbox.follow(message, message.chunks, 1)
    message.offset = 6
    outbox.commit(message, message.chunks)
    for offset in range(7, 7 + 3 * CHUNK // SIZE):
        outbox.put_run(run(source, offset))
    steps = [step for step in drained(outbox) if step[0] != "chunk"]
    assert [offset for _, _, offset in steps] == list(range(5, 7 + 3 * CHUNK // SIZE))
    assert ("end", 1, 6) in steps
    assert ("run", 1, 5) in steps
    assert ("gap", 1, 7) in steps


def test_large_messages_that_end_while_the_receiver_is_behind_count_against_the_bound() -> None:
    outbox = outbox_of(10 * CHUNK)
    source, other = stream(1, Kind.EVENT), stream(2, Kind.EVENT)
    for offset in range(9 * CHUNK // SIZE):
        outbox.put_run(run(other, offset))
    for transfer in range(3):
        message = large(source, transfer, 4)
        outbox.follow(message, message.chunks, 1)
        message.offset = transfer
        outbox.commit(message, message.chunks)
    # The first and the newest do not count, the one between them does.
    assert outbox.waiting_bytes_of(other) <= 6 * CHUNK


def test_an_aborted_message_is_forgotten() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    message = large(source, 9, 2, planned=3)
    outbox.follow(message, message.chunks, 1)
    outbox.abort(message)
    assert is_idle(outbox)
    assert drained(outbox) == []
    assert outbox.waiting_bytes == 0


def test_what_is_forgotten_is_not_sent_but_what_has_begun_is_finished() -> None:
    outbox = outbox_of(3 * CHUNK)
    source = stream(1, Kind.EVENT)
    message = large(source, 9, 2, offset=0)
    outbox.put_large(message, message.chunks)
    drained(outbox, room=2)
    for offset in range(1, 100):
        outbox.put_run(run(source, offset))
    outbox.forget(source)
    assert drained(outbox) == [("chunk", 9, 1), ("end", 1, 0)]
    assert is_idle(outbox)


def test_what_is_forgotten_does_not_count_as_conflated() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    outbox.put_run(run(source, 0))
    outbox.forget(source)
    assert outbox.conflated == 0


def test_dropped_messages_are_counted() -> None:
    outbox = outbox_of(2 * SIZE)
    source = stream(1, Kind.EVENT)
    for offset in range(6):
        outbox.put_run(run(source, offset))
    outbox.put_run(batch(source, 6, 4))
    outbox.put_run(run(source, 10))
    outbox.put_run(run(source, 11))
    assert outbox.dropped == 0
    drained(outbox)
    assert (outbox.dropped, outbox.replayed) == (10, 0)


def test_what_left_the_queue_is_replayed_in_its_place() -> None:
    outbox = outbox_of(2 * SIZE)
    source = stream(1, Kind.EVENT)
    sent = [run(source, offset) for offset in range(8)]
    for entry in sent:
        outbox.put_run(entry)
    recorder = Recorder(history=sent)
    outbox.drain(recorder)
    assert recorder.steps == [*runs(1, [0]), ("replay", 1, 6), *runs(1, range(1, 8))]
    assert (outbox.dropped, outbox.replayed) == (0, 6)
    assert is_idle(outbox)


def test_what_history_lost_is_a_gap_before_the_replay_and_within() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    outbox.put_backfill(source, 0, 9)
    outbox.put_run(run(source, 10))
    recorder = Recorder(history=[run(source, 2), run(source, 5, 2)])
    outbox.drain(recorder)
    lost = Code.HISTORY_LOST.name
    assert recorder.steps == [
        (lost, 1, 0),
        (lost, 1, 1),
        ("replay", 2, 9),
        ("run", 1, 2),
        (lost, 1, 3),
        (lost, 1, 4),
        *runs(1, [5, 6]),
        *[(lost, 1, offset) for offset in (7, 8, 9)],
        ("run", 1, 10),
    ]
    assert (outbox.dropped, outbox.replayed) == (7, 3)
    assert source.dropped_messages == 7


def test_what_is_queued_meanwhile_waits_until_history_was_read() -> None:
    outbox = outbox_of(1 << 20)
    source, other = stream(1, Kind.EVENT), stream(2, Kind.EVENT)
    outbox.put_backfill(source, 0, 3)
    recorder = Recorder(history=[run(source, 0, 2), run(source, 2), run(source, 3)], later=True)
    outbox.drain(recorder)
    outbox.put_run(run(source, 4))
    outbox.put_run(run(other, 0))
    outbox.drain(recorder)
    assert recorder.steps == runs(2, [0])
    for times in (1, 2):
        recorder.read_on()
        assert recorder.gone_on == [source] * times
        outbox.go_on(source)
        outbox.drain(recorder)
    assert recorder.steps == [("run", 2, 0), ("replay", 0, 3), *runs(1, range(5))]
    assert is_idle(outbox)


def test_very_many_streams_are_replayed_some_at_a_time() -> None:
    outbox = outbox_of(1 << 20)
    sources = [stream(number, Kind.EVENT) for number in range(3 * MAX_READING)]
    for source in sources:
        outbox.put_backfill(source, 0, 0)
    recorder = Recorder(later=True)
    outbox.drain(recorder)
    reading = [len(recorder.reading)]
    while recorder.reading:
        recorder.read_on()
        outbox.go_on(recorder.gone_on[-1])
        outbox.drain(recorder)
        reading.append(len(recorder.reading))
    assert reading == [MAX_READING] * (2 * MAX_READING + 1) + list(range(MAX_READING))[::-1]
    assert (outbox.dropped, is_idle(outbox)) == (len(sources), True)


def test_so_many_queues_are_passed_over_at_a_time() -> None:
    outbox = outbox_of(1 << 20)
    for number in range(100 + MAX_READING):
        outbox.put_backfill(stream(number, Kind.EVENT), 0, 0)
    recorder = Recorder(later=True)
    more = [outbox.drain(recorder, MAX_READING) for _ in range(5)]
    assert more == [True] * (1 + 100 // MAX_READING) + [False]
    assert len(recorder.reading) == MAX_READING


def test_messages_in_memory_do_not_wait_for_the_history_of_very_many_streams() -> None:
    outbox = outbox_of(1 << 20)
    sources = [stream(number, Kind.EVENT) for number in range(2 * MAX_READING)]
    for source in sources:
        outbox.put_backfill(source, 0, 0)
    recorder = Recorder(later=True)
    outbox.drain(recorder)
    outbox.put_run(run(sources[0], 1))
    outbox.put_run(run(sources[-1], 1))
    other = stream(1000, Kind.EVENT)
    outbox.put_run(run(other, 0))
    outbox.drain(recorder)
    assert recorder.steps == runs(1000, [0])
    assert len(recorder.reading) == MAX_READING


def test_large_messages_are_replayed_chunk_by_chunk() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    message = large(source, 9, 2, offset=1)
    outbox.put_backfill(source, 0, 2)
    recorder = Recorder(history=[run(source, 0), LargeForm(message, message.chunks), run(source, 2)])
    outbox.drain(recorder)
    assert recorder.steps == [
        ("replay", 0, 2),
        ("run", 1, 0),
        ("head", 1, 9),
        ("chunk", 9, 0),
        ("chunk", 9, 1),
        ("end", 1, 1),
        ("run", 1, 2),
    ]
    assert (outbox.waiting_bytes, is_idle(outbox)) == (0, True)


def test_what_was_asked_for_twice_is_replayed_once() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    for first in (1, 2):
        outbox.put_backfill(source, first, 3)
    recorder = Recorder(history=[run(source, offset) for offset in range(4)])
    outbox.drain(recorder)
    assert recorder.steps == [("replay", 1, 3), *runs(1, [1, 2, 3])]


def test_nothing_is_replayed_of_what_was_forgotten_while_it_was_read() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    outbox.put_backfill(source, 0, 3)
    recorder = Recorder(history=[run(source, 0)], later=True)
    outbox.drain(recorder)
    outbox.forget(source)
    recorder.read_on()
    outbox.drain(recorder)
    assert recorder.steps == []
    assert is_idle(outbox)


def test_draining_stops_as_soon_as_the_receiver_is_full() -> None:
    outbox = outbox_of(1 << 30)
    sources = [stream(number, Kind.EVENT) for number in range(1, 6)]
    for source in sources:
        outbox.put_run(run(source, 0, 1, CATCH_UP_BYTES))
    recorder = Recorder(room=2)
    outbox.drain(recorder)
    assert len(recorder.steps) == 2
    recorder.room = 100
    outbox.drain(recorder)
    assert sorted(recorder.steps) == [("run", number, 0) for number in range(1, 6)]


def test_small_messages_pass_the_chunks_that_the_link_does_not_take() -> None:
    outbox = outbox_of(1 << 30)
    tensor, small = stream(1, Kind.STATE), stream(2, Kind.EVENT)
    message = large(tensor, 9, 3, offset=0)
    outbox.put_large(message, message.chunks)
    outbox.put_run(run(small, 0))
    recorder = Recorder()
    recorder.bulk_open = False
    outbox.drain(recorder)
    assert recorder.steps == runs(2, [0])
    assert not is_idle(outbox)
    recorder.bulk_open = True
    outbox.drain(recorder)
    assert recorder.steps[-1] == ("end", 1, 0)
    assert is_idle(outbox)


def test_small_messages_of_many_streams_leave_together_and_no_large_one_is_passed() -> None:
    outbox = outbox_of(1 << 30)
    sources = [stream(number, Kind.EVENT) for number in range(1, 9)]
    for source in sources:
        if source.id == 4:
            message = large(source, 9, 1, offset=0)
            outbox.put_large(message, message.chunks)
        else:
            outbox.put_run(run(source, 0, 1, CATCH_UP_BYTES // 4))
    writes = [drained(outbox, room=1) for _ in range(8)]
    assert [len(steps) for steps in writes] == [3, 1, 4, 1, 1, 0, 0, 0]
    assert outbox.taken_bytes == 7 * CATCH_UP_BYTES // 4 + CHUNK
    assert is_idle(outbox)


def test_so_many_queues_are_served_at_a_time() -> None:
    outbox = outbox_of(1 << 30)
    for number in range(1, 6):
        outbox.put_run(run(stream(number, Kind.EVENT), 0, 1, CATCH_UP_BYTES))
    recorder = Recorder()
    more = [outbox.drain(recorder, 2) for _ in range(4)]
    assert more == [True, True, False, False]
    assert len(recorder.steps) == 5


def test_small_messages_are_joined_to_about_the_bound() -> None:
    outbox = outbox_of(1 << 30)
    source = stream(1, Kind.EVENT)
    for offset in range(5):
        outbox.put_run(run(source, offset, 1, CATCH_UP_BYTES // 2))
    recorder = Recorder(room=1)
    outbox.drain(recorder)
    assert len(recorder.steps) == 2


# Versions of states: deltas, patches, and versions that the receiver has got before.


def delta(source: Stream, offset: int, size: int = SIZE, keyframe: int = 4 * SIZE) -> Run:
    """A version that goes out as a delta to the one before, and its keyframe beside it."""
    made = run(source, offset, 1, size)
    made.is_delta = True
    made.keyframe = run(source, offset, 1, keyframe)
    return made


def patched(before: Newest, source: Stream) -> Patch:
    """The version that changes the first row of the one before."""
    offset = offsets_of(before)[1] + 1
    region = Region.of(np.s_[0:1], STATE.shape)
    change = RegionChange(0, region, (StoredChunk(None, bytes(STATE.shape[1])),))
    return Patch(before, offset, change, headers=b"", publisher=1, timestamp_ns=0)


def state_run(source: Stream, offset: int) -> Run:
    """A version in one frame, which can be patched."""
    frame = write_data(
        Opcode.MESSAGE,
        stream=source.id,
        offset=offset,
        timestamp_ns=0,
        meta=write_meta([spec_of(STATE)]),
        payload=payload_buffers([STATE]),
    )
    return Run.of_frame(source, offset, frame)


class Merger(Recorder):
    """A receiver whose patches are merged at once."""

    def keyframe_of(self, patch: Patch) -> Newest | Gap | None:
        patch.settle(patch.merging()(), 9)
        return patch.keyframe


def test_deltas_wait_one_behind_the_other_until_they_take_more_than_two_keyframes() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    for offset in range(8):
        outbox.put_run(delta(source, offset))
    assert (outbox.waiting_bytes, outbox.conflated) == (8 * SIZE, 0)
    outbox.put_run(delta(source, 8))
    assert (outbox.waiting_bytes, outbox.conflated) == (4 * SIZE, 8), "the keyframe replaces the deltas"
    assert drained(outbox) == runs(1, [8])


def test_a_delta_that_waits_does_not_keep_its_keyframe_alive() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    outbox.put_run(delta(source, 0))
    queue = outbox.queue_of(source)
    assert queue is not None
    (entry,) = queue.entries
    assert isinstance(entry, Run)
    assert (entry.is_delta, entry.keyframe) == (True, None)


def test_a_version_that_waits_already_is_not_queued_twice() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    for _ in range(2):
        outbox.put_run(run(source, 0))
    assert (outbox.waiting_bytes, outbox.conflated) == (SIZE, 0)
    assert drained(outbox) == runs(1, [0])


def test_a_version_that_the_receiver_has_got_before_is_not_missed_when_it_is_replaced() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    outbox.put_run(run(source, 3), again=True)
    outbox.put_run(run(source, 4))
    assert outbox.conflated == 0
    outbox.put_run(run(source, 5))
    assert outbox.conflated == 1
    assert drained(outbox) == runs(1, [5])


def test_a_large_delta_is_queued_by_its_own_size_while_there_is_room() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    message = large(source, 9, 2, offset=1)
    form = [StoredChunk(None, bytes(100)), StoredChunk(None, bytes(60))]
    assert outbox.put_delta(message, form)
    assert outbox.waiting_bytes_of(source) == 160
    big = [StoredChunk(None, bytes(2 * message.plan.payload_bytes))]
    assert not outbox.put_delta(large(source, 10, 2, offset=2), big)
    assert outbox.waiting_bytes_of(source) == 160
    assert outbox.waiting_bytes_of(stream(2, Kind.STATE)) == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_patch_waits_as_the_keyframe_of_its_version(chunked: bool) -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    patch = patched(state_run(source, 0), source)
    if chunked:
        entry = LargePatch(source, Opcode.MESSAGE, 1, 0, 0, b"", ChunkPlan(9, CHUNK, CHUNK), region=patch.change.region)
        entry.patch = patch
        for _ in range(2):
            outbox.put_large(entry, entry.chunks)
    else:
        for _ in range(2):
            outbox.put_run(PatchRun(run(source, 1), patch))
    assert (outbox.waiting_bytes, outbox.conflated) == (STATE.nbytes, 0)
    receiver = Merger()
    outbox.drain(receiver)
    assert receiver.steps == runs(1, [1])


def test_a_newer_patch_replaces_the_one_that_waits() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    first = PatchRun(run(source, 1), patched(state_run(source, 0), source))
    second = PatchRun(run(source, 2), patched(first, source))
    for patch in (first, second):
        outbox.put_run(patch)
    assert (outbox.waiting_bytes, outbox.conflated) == (STATE.nbytes, 1)
    receiver = Merger()
    outbox.drain(receiver)
    assert receiver.steps == runs(1, [2])


def test_a_patch_of_a_stream_that_the_receiver_left_is_not_merged() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    outbox.put_run(PatchRun(run(source, 1), patched(state_run(source, 0), source)))
    outbox.forget(source)
    assert drained(outbox) == []
    assert outbox.waiting_bytes == 0


def test_a_large_state_that_ends_replaces_the_versions_that_wait() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    message = large(source, 9, 2)
    outbox.follow(message, message.chunks, 2)
    for offset in range(2):
        outbox.put_run(run(source, offset))
    message.offset = 2
    outbox.commit(message, message.chunks)
    assert outbox.conflated == 2
    assert drained(outbox) == [("end", 1, 2)]


# Signals, and messages that the receiver has begun to receive.


def test_a_signal_goes_behind_the_messages_that_wait_and_is_refused_where_none_do() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    gap = Gap(source.id, Code.HISTORY_LOST, 1, 1)
    assert not outbox.put_signal(source, gap)
    outbox.put_run(run(source, 0))
    assert outbox.put_signal(source, gap)
    assert drained(outbox) == [*runs(1, [0]), (Code.HISTORY_LOST.name, 1, 1)]
    assert not outbox.put_signal(source, gap)


def test_a_gap_keeps_its_place_among_the_messages_that_wait() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    outbox.put_run(run(source, 0))
    outbox.put_gap(source, Gap(source.id, Code.HISTORY_LOST, 1, 2))
    outbox.put_run(run(source, 3))
    lost = Code.HISTORY_LOST.name
    assert drained(outbox) == [*runs(1, [0]), (lost, 1, 1), (lost, 1, 2), *runs(1, [3])]


def test_all_is_under_way_when_nothing_waits_for_its_turn() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.STATE)
    assert outbox.all_under_way(source)
    message = large(source, 9, 2, offset=0)
    outbox.put_large(message, message.chunks)
    assert not outbox.all_under_way(source)
    drained(outbox, room=2)
    assert outbox.all_under_way(source)
    outbox.put_run(run(source, 1))
    assert not outbox.all_under_way(source)


def test_a_message_that_the_receiver_has_in_part_begins_with_its_head_and_goes_on_behind_that_part() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    outbox.resumes[9] = 2
    message = large(source, 9, 3)
    outbox.follow(message, message.chunks, 0)
    assert drained(outbox) == [("head", 1, 9), ("chunk", 9, 2)]
    assert not outbox.resumes
    outbox.follow(message, message.chunks, 0)
    message.offset = 0
    outbox.commit(message, message.chunks)
    assert drained(outbox) == [("end", 1, 0)], "it is followed once"


def test_a_cleared_outbox_has_nothing_to_send() -> None:
    outbox = outbox_of(1 << 20)
    source = stream(1, Kind.EVENT)
    outbox.put_run(run(source, 0))
    outbox.clear()
    assert is_idle(outbox)
    assert outbox.queue_of(source) is None
    assert drained(outbox) == []
    outbox.forget(source)
    outbox.abort(large(source, 9, 1))
