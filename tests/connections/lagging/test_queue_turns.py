"""QueueTurns: who can send is served in turn, and whoever cannot is passed over until something happens to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.connections.lagging.queue_turns import MAX_READING, QueueTurns
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream


def stream(*, preferred: bool = False) -> Stream:
    source = Stream(StreamId(1), StreamName("wf/x"), Kind.EVENT, Epoch(1))
    source.preferred = preferred
    return source


@dataclass(eq=False)
class Queue:
    name: str
    idle: bool = False
    needs_link: bool = False
    waits: bool | None = None
    source: Stream = field(default_factory=stream)


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


def preferred(name: str, *, needs_link: bool = False) -> Queue:
    return Queue(name, needs_link=needs_link, source=stream(preferred=True))


def test_every_other_turn_is_one_of_the_preferred_queues() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    first = [Queue(name) for name in ("one", "two", "three")]
    for queue in (*first, preferred("events"), preferred("replies")):
        turns.wake(queue)
    assert taken(turns) == ["events", "one", "replies", "two", "three"]


def test_behind_a_receiver_that_has_caught_up_no_preferred_queue_is_left() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    turns.wake(Queue("before", source=stream(preferred=True)))
    turns.clear()
    assert (taken(turns), turns.next_ready()) == ([], None)
    turns.wake(Queue("later"))
    assert taken(turns) == ["later"]


def test_a_preferred_queue_that_always_has_more_leaves_the_others_every_other_turn() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    events, others = preferred("events"), [Queue("one"), Queue("two")]
    for queue in (*others, events):
        turns.wake(queue)
    served = []
    for _ in range(8):
        following = turns.take(bulk_open=True)
        assert following is not None
        served.append(following.name)
        turns.wake(following)
    assert served == ["events", "one", "events", "two"] * 2


def test_a_preference_counts_from_the_next_turn_on() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    one, two, late = Queue("one"), Queue("two"), Queue("late")
    for queue in (one, two, late):
        turns.wake(queue)
    late.source.preferred = True
    assert taken(turns) == ["one", "two", "late"]
    for queue in (one, two, late):
        turns.wake(queue)
    late.source.preferred = False
    assert taken(turns) == ["late", "one", "two"]


def test_bulk_that_has_waited_for_the_link_does_not_pass_a_preferred_queue() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    tensors = [Queue(name, needs_link=True) for name in ("one", "two")]
    for queue in tensors:
        turns.wait(queue, bulk_open=False)
    events = preferred("events")
    turns.wake(events)
    assert turns.take(bulk_open=True) is events
    assert turns.take(bulk_open=True) is tensors[0]
    turns.wake(events)
    assert turns.take(bulk_open=True) is events


def test_the_next_queue_is_the_one_that_is_taken() -> None:
    turns: QueueTurns[Queue] = QueueTurns()
    assert turns.next_ready() is None
    for queue in (Queue("one"), preferred("events"), Queue("two")):
        turns.wake(queue)
    while (following := turns.next_ready()) is not None:
        assert turns.take_ready() is following
    assert turns.idle


class Turns(RuleBasedStateMachine):
    """Queues that come, go, and are served: none waits for more turns than is promised."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: QueueTurns[Queue] = QueueTurns()
        self.queues = [Queue(str(number), source=stream(preferred=number < 4)) for number in range(12)]
        self.waited: Counter[Queue] = Counter()
        """Turns of others since each ready queue was woken."""
        self.most: dict[Queue, int] = {}
        """Turns that each of them may wait for."""

    @rule(number=st.integers(0, 11))
    def wake(self, number: int) -> None:
        queue, ready = self.queues[number], self.turns.ready
        if queue not in ready:
            before = sum(other.source.preferred for other in ready) if queue.source.preferred else len(ready)
            self.most[queue] = 2 * before + 1
            self.waited[queue] = 0
        self.turns.wake(queue)

    @rule(number=st.integers(0, 11))
    def remove(self, number: int) -> None:
        self.turns.remove(self.queues[number])

    @rule(more=st.booleans())
    @precondition(lambda self: self.turns.ready)
    def serve(self, more: bool) -> None:
        served = self.turns.take(bulk_open=True)
        assert served is not None
        for queue in self.turns.ready:
            self.waited[queue] += 1
        if more:
            self.wake(self.queues.index(served))

    @invariant()
    def none_waits_for_longer_than_is_promised(self) -> None:
        for queue in self.turns.ready:
            assert self.waited[queue] <= self.most[queue]


TestTurns = Turns.TestCase
