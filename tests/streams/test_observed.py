"""An acknowledged stream as observers see it: the parent's messages by another number."""

from __future__ import annotations

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind
from gateway.protocol.wire import DATA_HEADER
from gateway.streams.history import Entry, History, HistoryBudget, HistoryLimits
from gateway.streams.large import LargeMessage, TransferNumbers
from gateway.streams.observed import ObservedStream
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.streams.frames import large_of, offsets_in, run_of


def observed(next_offset: int = 5) -> ObservedStream:
    history = History(HistoryLimits(), HistoryBudget(10**6))
    parent = Stream(StreamId(3), StreamName("wf/a"), Kind.COLLABORATION, Epoch(77), history=history)
    return ObservedStream(StreamId(9), parent, next_offset)


def streams_in(entry: Entry) -> set[int]:
    """The numbers that the frames of a run carry."""
    assert isinstance(entry, Run)
    message = entry.joined()
    return {DATA_HEADER.unpack_from(message, at.start)[4] for at in iter_frames(message)}


def test_it_is_its_parent_but_for_its_number_and_its_contract() -> None:
    source = observed()
    assert (source.id, source.name, source.kind, source.epoch) == (9, "wf/a", Kind.EVENT, 77)
    assert (source.next_offset, source.parent.kind) == (5, Kind.COLLABORATION)


def test_a_run_of_many_frames_gets_the_number_in_each_and_the_parents_stays_as_it_is() -> None:
    source, run = observed(), run_of(7, [None, 3, None])
    shown = source.shown(run, TransferNumbers())
    assert (streams_in(shown), offsets_in(shown)) == ({9}, [7, 8, 9, 10, 11])
    assert isinstance(shown, Run)
    assert (shown.source, shown.newest().first) == (source, 11)
    assert streams_in(run) == {1}


def test_a_long_run_gets_the_number_in_each_frame_as_well() -> None:
    shown = observed().shown(run_of(7, [None] * 500), TransferNumbers())
    assert isinstance(shown, Run)
    assert shown.size > 16 * 1024
    assert (streams_in(shown), offsets_in(shown)) == ({9}, list(range(7, 507)))


def test_of_a_large_frame_only_the_header_is_copied() -> None:
    source, run = observed(), run_of(7, [40_000])
    shown = source.shown(run, TransferNumbers())
    assert isinstance(shown, Run)
    assert len(shown.buffers[0]) == DATA_HEADER.size
    assert memoryview(shown.buffers[1]).obj is run.buffers[0]
    assert (streams_in(shown), offsets_in(shown)) == ({9}, list(range(7, 40_007)))


def test_a_large_message_goes_by_another_transfer() -> None:
    source, message = observed(), large_of(12)
    shown = source.shown(message, TransferNumbers(500))
    assert isinstance(shown, LargeMessage)
    assert (shown.source, shown.offset, shown.plan.transfer) == (source, 12, 500)
    assert (shown.chunks, message.plan.transfer, message.source.id) == (message.chunks, 1, 1)


def test_offsets_are_counted_in_and_the_past_is_the_parents() -> None:
    source = observed(next_offset=0)
    source.parent.append_run(run_of(0, [None, None]))
    source.count_in(run_of(0, [None, None]))
    assert (source.next_offset, source.first_offset) == (2, 0)
    source.count_in(large_of(2))
    assert source.next_offset == 3
    source.parent.history.close()
    assert source.first_offset == 2


def test_what_observers_miss_counts_for_the_parent() -> None:
    source = observed()
    source.count_dropped(4)
    assert (source.parent.dropped_messages, source.dropped_messages) == (4, 0)
