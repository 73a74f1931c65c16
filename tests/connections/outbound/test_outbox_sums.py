"""Outbox: what it keeps while queues change is what a look at all queues would find."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.connections.lagging.cursor import Cursor
from gateway.connections.outbound.backfill import Backfill, LargeForm
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.outbound.outbox import Outbox
from gateway.connections.outbound.stream_queue import StreamQueue
from gateway.errors import Code
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap, Replay
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run, Source
from gateway.streams.stream import Stream
from tests.connections.outbound.test_outbox import CHUNK, Recorder, add_chunk, large, run, stream

LIMIT_BYTES = 4 * CHUNK
EVENTS = [stream(number, Kind.EVENT) for number in range(1, 5)]
INBOXES = [InboxSource(f"agent:{number}", lambda *_: None) for number in (1, 2)]
SOURCES: list[Source] = [*EVENTS, *[stream(number, Kind.STATE) for number in (5, 6)], *INBOXES]
PLANNED = 3
"""Chunks of a large message that is passed on as it comes."""
AT = st.integers(0, len(SOURCES) - 1)


class Memory(Recorder):
    """A receiver that takes a limited number of steps; history gives all that was ever sent."""

    def read_backfill(self, source: Source, first: int, last: int, max_bytes: int, taken: object) -> None:
        self.reading.append((taken, source, first, last))  # type: ignore[arg-type]

    def take(self, steps: int) -> None:
        self.room = len(self.steps) + steps


class OutboxMachine(RuleBasedStateMachine):
    """Messages of all kinds come, the receiver takes some of them, and history and links answer late."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(LIMIT_BYTES, 5.0)
        self.receiver = Memory(room=0)
        self.offsets = dict.fromkeys(range(len(SOURCES)), 0)
        self.history: dict[Source, list[Run | LargeForm]] = {source: [] for source in SOURCES}
        self.open: dict[Source, LargeMessage] = {}
        self.transfers = 0
        self.waited_for: set[Source] = set()
        self.let_go: set[Source] = set()

    def _next(self, at: int, count: int = 1) -> int:
        first = self.offsets[at]
        self.offsets[at] += count
        return first

    @rule(at=AT, count=st.integers(1, 40))
    def put_run(self, at: int, count: int) -> None:
        made = run(SOURCES[at], self._next(at, count), count)
        self.history[SOURCES[at]].append(made)
        self.outbox.put_run(made)

    @rule(at=AT, chunks=st.integers(1, 6), publisher=st.integers(1, 3))
    def put_large(self, at: int, chunks: int, publisher: int) -> None:
        self.transfers += 1
        message = large(SOURCES[at], self.transfers, chunks, offset=self._next(at))  # type: ignore[arg-type]
        message.publisher = publisher
        self.history[SOURCES[at]].append(LargeForm(message, message.chunks))
        self.outbox.put_large(message, message.chunks)

    @rule(at=st.integers(0, 3), sent=st.integers(0, 2))
    def follow(self, at: int, sent: int) -> None:
        message = self.open.get(SOURCES[at])
        if message is None:
            self.transfers += 1
            message = self.open[SOURCES[at]] = large(EVENTS[at], self.transfers, sent, planned=PLANNED)
        if len(message.chunks) < PLANNED:
            add_chunk(message)
        self.outbox.follow(message, message.chunks, sent)

    @rule(at=st.integers(0, 3), complete=st.booleans())
    def end(self, at: int, complete: bool) -> None:
        message = self.open.pop(SOURCES[at], None)
        if message is not None and complete and len(message.chunks) == PLANNED:
            message.offset = self._next(at)
            self.outbox.commit(message, message.chunks)
        elif message is not None:
            self.outbox.abort(message)

    @rule(at=AT)
    def put_gap(self, at: int) -> None:
        offset = self._next(at)
        self.outbox.put_gap(SOURCES[at], Gap(SOURCES[at].id, Code.EXPIRED, offset, offset))

    @rule(at=st.integers(0, 3), count=st.integers(1, 4))
    def put_backfill(self, at: int, count: int) -> None:
        self.outbox.put_backfill(SOURCES[at], 0, count)

    @rule(at=AT)
    def put_signal(self, at: int) -> None:
        self.outbox.put_signal(SOURCES[at], Replay(SOURCES[at].id, 0, 1, 1))

    @rule(at=AT)
    def forget(self, at: int) -> None:
        self.outbox.forget(SOURCES[at])

    @rule(at=AT)
    def withdraw(self, at: int) -> None:
        self.outbox.withdraw(SOURCES[at], lambda entry: isinstance(entry, Run) or not entry.started)

    @rule(steps=st.integers(0, 20), bulk_open=st.booleans())
    def drain(self, steps: int, bulk_open: bool) -> None:
        self.receiver.bulk_open = bulk_open
        self.receiver.take(steps)
        self.outbox.drain(self.receiver)
        self.outbox.let_go()

    @precondition(lambda self: self.receiver.reading)
    @rule()
    def read_on(self) -> None:
        taken, source, first, last = self.receiver.reading.pop(0)  # type: ignore[misc]
        found = [part for part in self.history[source] if first <= first_of(part) <= last]
        taken(found[:2])
        self.outbox.go_on(source)

    @rule(slow=st.booleans())
    def count_as_slow(self, slow: bool) -> None:
        self.outbox.hold.slow = slow
        self.outbox.let_go()
        self.outbox.give_up()

    @rule(at=st.integers(0, 3))
    def wait(self, at: int) -> None:
        source = SOURCES[at]
        if self.outbox.holds_up(source):
            self.waited_for.add(source)
            self.outbox.when_not_held_up(source, lambda: self.waited_for.discard(source))

    @rule()
    def clear(self) -> None:
        self.outbox.clear()

    @invariant()
    def the_sums_are_those_of_all_queues(self) -> None:
        queues = list(self.outbox._queues.values())
        assert self.outbox.waiting_bytes == sum([size_of(queue) for queue in queues])
        inboxes = [queue for queue in queues if isinstance(queue.source, InboxSource)]
        assert self.outbox.inbox_bytes == sum([queue.backlog_bytes for queue in inboxes])
        assert self.outbox.idle == all(queue.idle for queue in queues)
        for queue in queues:
            assert queue.entries or queue.open
            if queue.source.kind is not Kind.EVENT:
                continue
            left = [entry for entry in queue.entries if isinstance(entry, Backfill) and entry.code]
            assert queue.left_to_history == bool(left)

    @invariant()
    def publishers_wait_for_the_same_reasons(self) -> None:
        held_up = held_up_by(self.outbox)
        assert {source for source in EVENTS if self.outbox.holds_up(source)} == held_up
        if not self.outbox.hold.slow:
            assert self.outbox.behind == bool(held_up)

    @invariant()
    def nobody_waits_who_need_not(self) -> None:
        self.outbox.let_go()
        assert self.waited_for <= held_up_by(self.outbox)

    def teardown(self) -> None:
        """Whatever has happened, all that is left is sent as soon as the receiver takes it."""
        for message in self.open.values():
            self.outbox.abort(message)
        self.receiver.bulk_open = True
        for _ in range(10_000):
            self.receiver.take(1_000)
            self.outbox.drain(self.receiver)
            if not self.receiver.reading:
                break
            self.read_on()
        assert self.outbox.idle
        assert not self.outbox._queues
        assert self.outbox.waiting_bytes == self.outbox.inbox_bytes == 0
        assert not self.outbox.behind


def first_of(part: Run | LargeForm) -> int:
    return part.first if isinstance(part, Run) else part.message.offset or 0


def size_of(queue: StreamQueue) -> int:
    return sum([entry.size for entry in queue.entries if isinstance(entry, Run | Cursor)])


def held_up_by(outbox: Outbox) -> set[Source]:
    """The streams whose publishers wait, by a look at all queues."""
    if outbox.hold.slow:
        return set()
    sizes = [(queue, queue.waiting_bytes, queue.backlog_bytes) for queue in outbox._queues.values()]
    sizes = [entry for entry in sizes if isinstance(entry[0].source, Stream) and entry[0].source.kind is Kind.EVENT]
    crowded = sum([backlog for _, _, backlog in sizes]) > LIMIT_BYTES // 2
    firsts = [first for _, waiting, backlog in sizes if (first := waiting - backlog) > LIMIT_BYTES // 64]
    full = sum([waiting for _, waiting, _ in sizes]) > LIMIT_BYTES + max(firsts, default=0)
    return {
        queue.source
        for queue, waiting, backlog in sizes
        if (crowded and backlog) or (full and waiting) or queue.left_to_history
    }


TestOutboxSums = OutboxMachine.TestCase
TestOutboxSums.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
