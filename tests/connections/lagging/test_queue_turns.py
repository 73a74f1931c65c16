"""QueueTurns: who can send is served in turn, and whoever cannot is passed over until something happens to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.connections.lagging.queue_turns import MAX_READING, QueueTurns


@dataclass(eq=False)
class Queue:
    name: str
    idle: bool = False
    needs_link: bool = False
    waits: bool | None = None


def taken(turns: QueueTurns[Queue], *, bulk_open: bool = True) -> list[str]:
    """The names of all that are served, none of which can send anything."""
    names = []
    while (queue := turns.take(bulk_open=bulk_open)) is not None:
        if not turns.put_off(queue):
            names.append(queue.name)
    return names


def read_all(turns: QueueTurns[Queue], news: Sequence[Queue] = ()) -> None:
    """Have all that are served begin to read; messages come to some queues behind each turn."""
    while (queue := turns.take(bulk_open=True)) is not None:
        if not turns.put_off(queue):
            queue.waits = True
            turns.wait(queue, bulk_open=True)
        for other in news:
            turns.wake(other)


def test_queues_are_served_in_the_order_in_which_they_were_woken() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    first, second = Queue("first"), Queue("second")
    for queue in (first, second, first):
        turns.wake(queue)
    turns.wake(Queue("nothing to send", idle=True))
    assert taken(turns) == ["first", "second"]
    assert turns.idle


def test_a_queue_that_reads_is_passed_over_until_what_it_reads_has_come() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    queue = Queue("reads", waits=True)
    turns.wait(queue, bulk_open=True)
    turns.wake(queue)
    assert (taken(turns), turns.idle) == ([], False)
    turns.wake(queue, came=True)
    assert (taken(turns), turns.idle) == (["reads"], True)


def test_a_queue_that_reads_is_served_when_it_need_not_read_any_more() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    queue = Queue("reads", waits=True)
    turns.wait(queue, bulk_open=True)
    queue.waits = None
    turns.wake(queue)
    assert taken(turns) == ["reads"]


def test_no_more_is_read_at_a_time_than_a_bound_and_nothing_else_waits_for_it() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    queues = [Queue(str(number), waits=False) for number in range(MAX_READING + 2)]
    for queue in queues:
        turns.wake(queue)
    for _ in range(2):
        read_all(turns, news=queues)  # new messages come behind what is to be read
        assert [queue.waits for queue in queues] == [True] * MAX_READING + [False] * 2
    in_memory = Queue("in memory")
    turns.wake(in_memory)
    assert taken(turns) == ["in memory"]
    turns.wake(queues[3], came=True)
    assert taken(turns) == ["3", str(MAX_READING), str(MAX_READING + 1)]
    assert not turns.idle


def test_the_next_queue_is_found_without_a_look_at_those_behind_it() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    queues = [Queue(str(number), waits=False) for number in range(MAX_READING + 3)]
    for queue in queues:
        turns.wake(queue)
    for _ in range(MAX_READING):
        reads = turns.take(bulk_open=True)
        assert reads is not None
        turns.wait(reads, bulk_open=True)
    for number in range(3):
        assert list(turns.ready) == queues[MAX_READING + number :]
        late = turns.take(bulk_open=True)
        assert late is not None
        assert turns.put_off(late)
    assert turns.take(bulk_open=True) is None


def test_a_queue_that_need_not_read_any_more_does_not_wait_for_those_that_do() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    queues = [Queue(str(number), waits=False) for number in range(MAX_READING + 1)]
    for queue in queues:
        turns.wake(queue)
    read_all(turns)
    queues[-1].waits = None
    turns.wake(queues[-1])
    assert taken(turns) == [str(MAX_READING)]
    turns.clear()
    assert turns.idle


def test_queues_that_wait_for_the_link_get_their_turn_one_by_one_when_it_opens() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    queues = [Queue(name, needs_link=True) for name in ("one", "two")]
    for queue in queues:
        turns.wait(queue, bulk_open=False)
    turns.wake(queues[0])
    assert (taken(turns, bulk_open=False), turns.idle) == ([], False)
    assert turns.take(bulk_open=True) is queues[0]
    assert taken(turns, bulk_open=False) == []
    queues[1].needs_link = False
    turns.wake(queues[1])
    assert taken(turns, bulk_open=False) == ["two"]


def test_a_queue_that_has_nothing_left_is_passed_over_for_good() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    ready, reads, blocked = Queue("ready"), Queue("reads"), Queue("blocked", needs_link=True)
    turns.wake(ready)
    turns.wait(reads, bulk_open=True)
    turns.wait(blocked, bulk_open=False)
    for queue in (ready, reads):
        turns.remove(queue)
    blocked.idle = True
    turns.wake(blocked)
    assert turns.idle
    turns.wake(ready)
    turns.clear()
    assert taken(turns) == []
