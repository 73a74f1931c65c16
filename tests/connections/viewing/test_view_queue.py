"""ViewQueue: nothing of events is lost but what is announced; of a state the newest is left, the rest is counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.viewing import view_queue
from gateway.connections.viewing.view_queue import PendingEntry, QueuedBytes, ViewQueue
from gateway.errors import Code
from gateway.protocol.signals import Gap
from gateway.streams.span import held_bytes_of, offsets_of
from tests.streams.frames import large_of, run_of


def offsets(job: list[PendingEntry | Gap]) -> list[int]:
    """All that the job stands for."""
    ranges = [(each.first, each.last) if isinstance(each, Gap) else offsets_of(each.entry) for each in job]
    return [offset for first, last in ranges for offset in range(first, last + 1)]


def test_a_state_leaves_its_newest_version_and_counts_the_others() -> None:
    queue = ViewQueue(9, QueuedBytes(), conflates=True)
    queue.put(PendingEntry(run_of(0, [None, None, 3]), last_only=False))
    queue.put(PendingEntry(run_of(5, [4]), last_only=True))
    queue.put(PendingEntry(large_of(9), last_only=False))
    queue.put(PendingEntry(run_of(10, [None]), last_only=False))
    assert queue.conflated_messages == 5 + 1 + 1
    assert offsets(queue.take()) == [10]
    assert (len(queue), queue.take()) == (0, [])


@given(st.lists(st.integers(1, 4) | st.just("large") | st.just("take"), max_size=30), st.integers(50, 6000))
def test_events_come_in_order_and_what_is_dropped_stands_in_its_place(steps: list[int | str], bound: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view_queue, "QUEUE_BYTES", bound)
        patch.setattr(view_queue, "JOB_BYTES", 200)
        queue = ViewQueue(9, QueuedBytes(), conflates=False)
        put, newest, taken = 0, -1, list[int]()
        for step in steps:
            if step == "take":
                job = queue.take()
                taken += offsets(job)
                assert all(gap.code == Code.QUEUE_FULL and gap.stream == 9 for gap in job if isinstance(gap, Gap))
                continue
            count = 1 if step == "large" else int(step)
            entry = large_of(put) if step == "large" else run_of(put, [None] * count)
            newest, put = put, put + count
            queue.put(PendingEntry(entry, last_only=False))
            assert len(queue) >= 1
        while len(queue):
            job = queue.take()
            taken += offsets(job)
            if not len(queue):
                last = job[-1]
                assert isinstance(last, PendingEntry), "the newest is never dropped"
                assert offsets_of(last.entry)[0] == newest
        assert taken == list(range(put))
        assert queue.conflated_messages == 0


def test_a_large_event_pushes_no_small_one_out_and_is_not_pushed_out_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    size = held_bytes_of(large_of(0))
    monkeypatch.setattr(view_queue, "QUEUE_BYTES", size // 2)
    monkeypatch.setattr(view_queue, "JOB_BYTES", 1)
    queue = ViewQueue(9, QueuedBytes(), conflates=False)
    for offset in range(6):
        large = offset in (0, 2, 4, 5)
        queue.put(PendingEntry(large_of(offset) if large else run_of(offset, [None]), last_only=False))
    jobs = []
    while len(queue):
        jobs.append([each for each in queue.take() if isinstance(each, Gap)])
    assert [(gap.first, gap.last) for job in jobs for gap in job] == [(1, 4)]


def test_it_is_crowded_until_enough_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_queue, "QUEUE_BYTES", 2 * held_bytes_of(large_of(0)))
    queue = ViewQueue(9, QueuedBytes(), conflates=False)
    crowded = [queue.crowded]
    for offset in range(2):
        queue.put(PendingEntry(large_of(offset), last_only=False))
        crowded.append(queue.crowded)
    queue.take()
    crowded.append(queue.crowded)
    queue.computed()
    crowded.append(queue.crowded)
    assert crowded == [False, False, True, True, False]


def test_what_is_forgotten_is_no_loss() -> None:
    queue = ViewQueue(9, QueuedBytes(), conflates=False)
    queue.put(PendingEntry(run_of(0, [None]), last_only=False))
    queue.clear()
    assert queue.take() == []


def test_all_queues_together_are_bounded_and_each_keeps_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = held_bytes_of(large_of(0))
    monkeypatch.setattr(view_queue, "ALL_QUEUES_BYTES", 6 * size)
    queued = QueuedBytes()
    queues = [ViewQueue(number, queued, conflates=False) for number in range(3)]
    for offset in range(5):
        for queue in queues:
            queue.put(PendingEntry(large_of(offset), last_only=False))
    assert [len(queue) for queue in queues] == [2, 2, 2]
    assert queued.total == 6 * size
    gaps = [each for queue in queues for each in queue.take() if isinstance(each, Gap)]
    assert [(gap.first, gap.last) for gap in gaps] == [(1, 3)] * 3
    for queue in queues:
        queue.clear()
    assert queued.total == 0
