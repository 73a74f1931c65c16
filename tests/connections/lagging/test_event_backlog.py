"""EventBacklog: sums over many queues, and the queues that lose messages. See also test_outbox_sums.py."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest

from gateway.connections.lagging.event_backlog import DROPS_A_STEP, EventBacklog
from gateway.connections.outbound.stream_queue import StreamQueue
from gateway.protocol.messages import Kind
from tests.connections.outbound.test_outbox import SIZE, run, stream

LIMIT_BYTES = 10 * SIZE


class Bench:
    """Queues of some streams, and the sums over them."""

    def __init__(self, streams: int) -> None:
        self.backlog: EventBacklog[StreamQueue] = EventBacklog(LIMIT_BYTES)
        self.queues = [StreamQueue(stream(number, Kind.EVENT)) for number in range(1, streams + 1)]
        self.offset = 0

    def put(self, at: int, *, slow: bool = False) -> None:
        queue = self.queues[at]
        queue.put(run(queue.source, self.offset))
        self.offset += 1
        self.backlog.came(queue, SIZE, slow=slow)

    def left_to_history(self) -> list[int]:
        return [at for at, queue in enumerate(self.queues) if queue.left_to_history]


def test_the_bound_is_kept_at_each_message_and_the_largest_queue_loses() -> None:
    bench = Bench(3)
    for at in (1, 2):
        bench.put(at)
    for _ in range(20):
        bench.put(0)
        assert bench.backlog.waiting_bytes <= LIMIT_BYTES
    assert bench.left_to_history() == [0]
    assert bench.backlog.waiting_bytes == LIMIT_BYTES


def test_the_only_message_of_a_stream_stays_until_the_receiver_counts_as_slow() -> None:
    bench = Bench(30)
    for at in range(30):
        bench.put(at)
    assert bench.backlog.waiting_bytes == 30 * SIZE
    assert bench.left_to_history() == []
    assert bench.backlog.behind(slow=False)
    while bench.backlog.give_up(slow=True):
        pass
    assert bench.backlog.waiting_bytes <= LIMIT_BYTES + SIZE
    bench.put(0, slow=True)
    assert bench.backlog.waiting_bytes <= LIMIT_BYTES + 2 * SIZE


@pytest.mark.parametrize("streams", [2, 500])
def test_giving_up_takes_steps_of_the_same_size_whatever_waits(streams: int) -> None:
    bench = Bench(streams)
    for index in range(3 * DROPS_A_STEP):
        queue = bench.queues[index % streams]
        queue.put(run(queue.source, index))
        bench.backlog.count(queue, slow=False)
    steps = [bench.backlog.waiting_bytes]
    while bench.backlog.give_up(slow=True):
        steps.append(bench.backlog.waiting_bytes)
    assert len(steps) > 2
    assert all(before - after <= DROPS_A_STEP * SIZE for before, after in pairwise(steps))


def test_whoever_waits_is_called_once_when_its_stream_holds_nobody_up_any_more() -> None:
    bench = Bench(2)
    for _ in range(4):
        for at in (0, 1):
            bench.put(at)
    first, second = bench.queues
    called: list[str] = []
    for queue in (first, second):
        assert bench.backlog.holds_up(queue, slow=False)
    bench.backlog.when_not_held_up(first, lambda: called.append("first"), slow=False)
    bench.backlog.when_not_held_up(second, lambda: called.append("second"), slow=False)
    while len(second.entries) > 1:
        second.waiting_bytes -= second.entries.pop().size  # type: ignore[union-attr]
    bench.backlog.count(second, slow=False)
    assert called == ["second"], "nothing of it waits behind another message"
    bench.backlog.let_go(slow=False)
    assert called == ["second", "first"], "less than half of the bound waits"


def test_nobody_waits_for_a_receiver_that_counts_as_slow_or_is_gone() -> None:
    called: list[str] = []
    for end in ("slow", "gone"):
        bench = Bench(1)
        for _ in range(8):
            bench.put(0)
        bench.backlog.when_not_held_up(bench.queues[0], partial(called.append, end), slow=False)
        if end == "slow":
            bench.backlog.let_go(slow=True)
        else:
            bench.backlog.clear()
    assert called == ["slow", "gone"]


def test_publishers_wait_from_a_lower_bound_on_and_nothing_is_lost_before_the_other_one() -> None:
    bench = Bench(1)
    bench.backlog.set_sender_credit(2 * SIZE)
    (queue,) = bench.queues
    waits = []
    for _ in range(10):
        bench.put(0)
        waits.append(bench.backlog.holds_up(queue, slow=False))
    assert waits == [False] * 3 + [True] * 7
    assert bench.left_to_history() == []
    assert bench.backlog.set_bound(2 * SIZE)
    assert bench.backlog.crowd_bytes == SIZE, "half of the bound is less than the credit"
    assert not bench.backlog.set_bound(2 * SIZE)
    bench.backlog.set_bound(LIMIT_BYTES)
    assert bench.backlog.crowd_bytes == 2 * SIZE, "all of the credit again"
    bench.backlog.set_sender_credit(0)
    assert bench.backlog.crowd_bytes == LIMIT_BYTES // 2
