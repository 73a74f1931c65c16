"""Queues that send as far as credit reaches, without a connection; with random grants against a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import hypothesis.strategies as st
from hypothesis import given

from gateway.connections.lagging.credit_gate import CreditGates
from gateway.connections.outbound.credited_outbox import CreditedOutbox
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.protocol.data import write_data
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.protocol.wire import Opcode
from gateway.streams.run import Run, Source
from tests.connections.outbound.test_outbox import Recorder, add_chunk, large, stream

LIMIT_BYTES = 1 << 20


class Receiver:
    """An outbox of two streams with one credit, and what it has sent."""

    def __init__(self, messages: int, nbytes: int) -> None:
        self._soon: deque[Callable[[], object]] = deque()
        self.credit = CreditWindow(messages, nbytes, replenished=False)
        self.gates = CreditGates(self._soon.append, self._go_on)
        self.outbox = CreditedOutbox(LIMIT_BYTES, 5.0, self.gates)
        self.recorder = Recorder()
        self.events, self.states = stream(1, Kind.EVENT), stream(2, Kind.STATE)
        for source in (self.events, self.states):
            self.gates.add(source, self.credit)

    def _go_on(self, sources: Sequence[Source]) -> None:
        for source in sources:
            self.outbox.go_on(source)
        self.outbox.drain(self.recorder)

    def grant(self, messages: int, nbytes: int) -> None:
        self.credit.add(messages, nbytes)
        while self._soon:
            self._soon.popleft()()

    def put(self, run: Run) -> None:
        self.outbox.put_run(run)
        self.outbox.drain(self.recorder)

    def sent(self, source: int) -> list[int]:
        return [offset for kind, stream, offset in self.recorder.steps if kind == "run" and stream == source]


def run_of(source: Source, first: int, count: int, payload: bytes = b"") -> Run:
    frame = b"".join(write_data(Opcode.MESSAGE, stream=1, offset=0, timestamp_ns=1, payload=(payload,)))
    return Run.of_frames(source, first, [(frame, 1)] * count)


def test_a_queue_without_credit_does_not_keep_the_receiver_lagging() -> None:
    receiver = Receiver(1, 10)
    receiver.put(run_of(receiver.events, 0, 3))
    assert receiver.sent(1) == [0]
    assert receiver.outbox.idle
    assert receiver.outbox.waiting_bytes
    assert receiver.outbox.clear() == {}
    receiver.grant(2, 0)
    assert receiver.sent(1) == [0, 1, 2]
    assert not receiver.outbox.waiting_bytes


def test_a_receiver_that_is_gone_leaves_everything() -> None:
    receiver = Receiver(0, 0)
    receiver.put(run_of(receiver.events, 0, 3))
    receiver.gates.detach()
    assert list(receiver.outbox.clear()) == [receiver.events]
    assert not receiver.outbox.waiting_bytes


def test_a_gap_in_front_needs_no_credit_and_one_behind_waits() -> None:
    receiver = Receiver(0, 0)
    receiver.outbox.put_gap(receiver.events, Gap(1, 5100, 0, 0))
    receiver.put(run_of(receiver.events, 1, 1))
    receiver.outbox.put_gap(receiver.events, Gap(1, 5100, 2, 2))
    receiver.outbox.drain(receiver.recorder)
    assert [step[0] for step in receiver.recorder.steps] == ["gap"]
    receiver.grant(1, 1)
    assert [step[0] for step in receiver.recorder.steps] == ["gap", "run", "gap"]


def test_a_large_message_takes_credit_once_and_sends_all_chunks() -> None:
    receiver = Receiver(1, 1)
    message = large(receiver.events, 9, chunks=3, offset=0)
    receiver.outbox.put_large(message, message.chunks)
    receiver.outbox.drain(receiver.recorder)
    assert [step[0] for step in receiver.recorder.steps] == ["head", "chunk", "chunk", "chunk", "end"]
    assert (receiver.credit.messages, receiver.credit.nbytes) == (0, 1 - message.plan.payload_bytes)


def test_chunks_of_a_message_under_way_are_left_to_be_written_directly_when_the_receiver_catches_up() -> None:
    receiver = Receiver(0, 0)
    receiver.put(run_of(receiver.events, 0, 1))
    message = large(receiver.events, 9, chunks=2, planned=3)
    receiver.outbox.follow(message, message.chunks, 1)
    receiver.outbox.drain(receiver.recorder)
    assert receiver.outbox.idle
    receiver.outbox.clear()
    add_chunk(message)
    receiver.grant(1, 1)
    assert [step[0] for step in receiver.recorder.steps] == ["chunk", "run"]


def test_a_queue_without_credit_does_not_wait_for_history() -> None:
    receiver = Receiver(0, 0)
    receiver.outbox.put_backfill(receiver.events, 0, 5)
    queue = receiver.outbox.queue_of(receiver.events)
    assert queue is not None
    assert queue.waits is None
    receiver.outbox.drain(receiver.recorder)
    assert receiver.outbox.idle
    receiver.grant(1, 1)
    assert [step[0] for step in receiver.recorder.steps], "what history has lost is told without credit for it"


STEP = st.one_of(
    st.tuples(st.just("event"), st.integers(1, 5), st.sampled_from([0, 3, 200])),
    st.tuples(st.just("state"), st.integers(1, 2), st.sampled_from([0, 3, 200])),
    st.tuples(st.just("grant"), st.integers(0, 4), st.sampled_from([0, 1, 100, 500])),
)


@given(steps=st.lists(STEP, max_size=40))
def test_random_grants(steps: list[tuple[str, int, int]]) -> None:
    """Events: none lost, none twice, in order. A state: the newest in the end. The grant is exceeded by no message."""
    receiver = Receiver(0, 0)
    published = {"event": 0, "state": 0}
    granted_messages = granted_bytes = 0
    sizes: dict[tuple[int, int], int] = {}
    for kind, count, size in steps:
        if kind == "grant":
            granted_messages, granted_bytes = granted_messages + count, granted_bytes + size
            receiver.grant(count, size)
        else:
            source = receiver.events if kind == "event" else receiver.states
            sizes.update({(source.id, published[kind] + at): size for at in range(count)})
            receiver.put(run_of(source, published[kind], count, bytes(size)))
            published[kind] += count
        sent = [(stream, offset) for step, stream, offset in receiver.recorder.steps if step == "run"]
        assert len(sent) <= granted_messages
        assert sum([sizes[each] for each in sent[:-1]]) < max(granted_bytes, 1)
        assert receiver.outbox.idle
    receiver.grant(1000, 1 << 30)
    assert receiver.sent(1) == list(range(published["event"]))
    states = receiver.sent(2)
    assert states == sorted(set(states))
    assert states[-1:] == [published["state"] - 1][: published["state"]]
    assert receiver.outbox.conflated == published["state"] - len(states)
    assert not receiver.outbox.waiting_bytes
