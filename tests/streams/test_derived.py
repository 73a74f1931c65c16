"""A view as a stream: whose it is, and offsets that jump."""

from __future__ import annotations

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.views import View
from gateway.streams.derived import DerivedStream
from gateway.streams.history import History, HistoryBudget, HistoryLimits
from gateway.streams.stream import Stream
from tests.streams.frames import large_of, run_of


def derived(kind: Kind = Kind.STATE, next_offset: int = 5) -> DerivedStream:
    parent = Stream(
        StreamId(3), StreamName("wf/a"), kind, Epoch(77), history=History(HistoryLimits(), HistoryBudget(10**6))
    )
    return DerivedStream(StreamId(9), parent, View(0), next_offset)


def test_it_is_its_parent_but_for_its_number() -> None:
    source = derived(Kind.EVENT)
    assert (source.id, source.name, source.kind, source.epoch) == (9, "wf/a", Kind.EVENT, 77)
    assert (source.next_offset, source.view, source.parent.id) == (5, View(0), 3)


def test_offsets_are_the_parents_and_may_jump() -> None:
    source = derived()
    run = run_of(7, [None, None])
    source.append_run(run)
    assert (source.next_offset, source.newest) == (9, run.newest())
    message = large_of(12)
    source.append_large(message)
    assert (source.next_offset, source.newest, message.offset) == (13, message, 12)


def test_its_past_reaches_as_far_back_as_the_parents() -> None:
    source = derived(Kind.EVENT, next_offset=0)
    for first in range(3):
        source.parent.append_run(run_of(first, [None]))
        source.append_run(run_of(first, [None]))
    assert source.first_offset == source.parent.first_offset == 0
    assert not len(source.history)


def test_what_its_receivers_miss_counts_among_the_parents() -> None:
    source = derived()
    source.count_conflated(2)
    source.count_conflated(3, by_client=True)
    source.count_dropped(4)
    parent = source.parent
    assert (parent.conflated_messages, parent.client_conflated_messages, parent.dropped_messages) == (2, 3, 4)
