"""EncodeQueue: first in, first out, whatever the threads do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.fanout.encode_queue import MAX_BEHIND, MAX_WAITING, EncodeQueue
from gateway.connections.outbound.reading_holds import ReadingHolds
from tests.connections.memory import StepWorkers
from tests.connections.transport import MemoryTransport


@given(
    forms=st.lists(st.sampled_from(["submit", "follow", "fail"]), max_size=12),
    order=st.lists(st.integers(0, 11), max_size=12),
)
def test_order_is_kept_whatever_finishes_first(forms: list[str], order: list[int]) -> None:
    workers = StepWorkers()
    queue = EncodeQueue(workers)
    delivered: list[int] = []
    for number, form in enumerate(forms):
        if form == "follow":
            queue.add_ready(lambda number=number: delivered.append(number))  # type: ignore[misc]
        else:
            work = (lambda: 1 // 0) if form == "fail" else (lambda: 1)
            queue.submit(work, lambda _, number=number: delivered.append(number))  # type: ignore[misc]
    for index in order:
        if index < len(workers):
            workers.step(index)
            assert delivered == list(range(len(delivered)))
    while len(workers):
        workers.step(-1)
    assert delivered == list(range(len(forms)))
    assert queue.idle


def test_what_follows_nothing_is_delivered_at_once() -> None:
    queue = EncodeQueue(StepWorkers())
    delivered: list[str] = []
    queue.add_ready(lambda: delivered.append("now"))
    assert delivered == ["now"]
    assert queue.idle


def test_an_exception_is_a_result() -> None:
    workers = StepWorkers()
    results: list[object] = []
    EncodeQueue(workers).submit(lambda: 1 // 0, results.append)
    workers.step()
    assert isinstance(results[0], ZeroDivisionError)


def test_what_a_delivery_submits_next_comes_before_what_waits() -> None:
    workers = StepWorkers()
    queue = EncodeQueue(workers)
    delivered: list[str] = []

    def first(_: object) -> None:
        delivered.append("first")
        queue.submit(lambda: None, lambda _: delivered.append("next"), next_in_turn=True)

    queue.submit(lambda: None, first)
    queue.add_ready(lambda: delivered.append("last"))
    workers.step()
    assert delivered == ["first"]
    workers.step()
    assert delivered == ["first", "next", "last"]


def test_what_is_submitted_next_comes_before_what_is_still_being_encoded() -> None:
    workers = StepWorkers()
    queue = EncodeQueue(workers)
    delivered: list[str] = []
    queue.submit(lambda: None, lambda _: delivered.append("newer"))
    queue.submit(lambda: None, lambda _: delivered.append("older"), next_in_turn=True)
    workers.step(0)
    assert delivered == []
    workers.step(0)
    assert delivered == ["older", "newer"]


def test_a_delivery_that_publishes_queues_up_behind_itself() -> None:
    workers = StepWorkers()
    queue = EncodeQueue(workers)
    delivered: list[str] = []

    def deliver(_: object) -> None:
        queue.add_ready(lambda: delivered.append("second"))
        delivered.append("first")

    queue.submit(lambda: None, deliver)
    workers.step()
    assert delivered == ["first", "second"]


def test_a_delivery_that_fails_does_not_stop_the_queue() -> None:
    workers = StepWorkers()
    queue = EncodeQueue(workers)
    delivered: list[str] = []

    def fail(_: object) -> None:
        raise OSError("a bug")

    queue.submit(lambda: None, fail)
    with pytest.raises(OSError, match="a bug"):
        workers.step()
    queue.add_ready(lambda: delivered.append("goes on"))
    assert delivered == ["goes on"]


def test_a_queue_in_which_much_waits_says_so() -> None:
    workers = StepWorkers()
    queue = EncodeQueue(workers)
    for _ in range(MAX_WAITING):
        assert not queue.backed_up
        queue.submit(lambda: None, lambda _: None)
    assert queue.backed_up
    workers.step(0)
    assert not queue.backed_up


def test_publishers_are_not_read_while_too_much_waits_for_threads() -> None:
    workers, transport = StepWorkers(), MemoryTransport()
    queue, reading = EncodeQueue(workers), ReadingHolds(transport)
    for _ in range(MAX_BEHIND - 1):
        queue.submit(lambda: 1, lambda _: None)
    for _ in range(MAX_BEHIND):
        queue.submit(lambda: 1, lambda _: None, next_in_turn=True)  # late joiners keep no publisher waiting
    queue.hold_back(reading)
    assert transport.is_reading()
    queue.submit(lambda: 1, lambda _: None)
    queue.hold_back(reading)
    queue.hold_back(reading)
    while len(workers):
        assert not transport.is_reading()
        workers.step()
    assert transport.is_reading()


def test_heavy_work_counts_as_often_as_it_weighs() -> None:
    workers, transport = StepWorkers(), MemoryTransport()
    queue, reading = EncodeQueue(workers), ReadingHolds(transport)
    queue.submit(lambda: 1, lambda _: None, weight=MAX_BEHIND - 1)
    queue.hold_back(reading)
    assert transport.is_reading()
    queue.submit(lambda: 1, lambda _: None)
    queue.hold_back(reading)
    assert not transport.is_reading()
    workers.step()
    workers.step()
    assert transport.is_reading()
    queue.hold_back(reading)
    assert transport.is_reading()
