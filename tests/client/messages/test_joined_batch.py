"""Invariant: batches hold the messages that one by one come from the same queue, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.messages.ack_handle import AckHandle, AckScope, AckUnitRange, JoinedAckHandle, PendingAck
from gateway.client.messages.joined_batch import MAX_JOINED_BYTES, joined_batch
from gateway.client.messages.message import Message
from gateway.client.messages.message_run import Received
from gateway.client.messages.record_batch import RecordBatch
from gateway.errors import InvalidArgument
from gateway.protocol.extensions import Quantization
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import TensorSpec
from tests.client.frames import message_run

F4 = np.dtype("<f4")
PAIR = TensorSpec("", F4, (2,))


class Queue(deque[Received]):
    """Items that wait."""

    def peek(self) -> Received | None:
        """Return the next item, and leave it."""
        return self[0] if self else None

    def take(self) -> Received:
        """Return the next item."""
        return self.popleft()


def message(
    offset: int,
    *,
    stream: str = "wf/x",
    publisher: int = 2,
    epoch: int = 1,
    spec: TensorSpec = PAIR,
    quantization: Quantization | None = None,
    payload: bytes | None = None,
) -> Message:
    """Twice the offset, and 1 more, as a message of a run has."""
    values = np.arange(2, dtype=F4) + 2 * offset
    payload = values.tobytes() if payload is None else payload
    return Message(stream, Kind.EVENT, epoch, offset, publisher, offset, 7, {"n": 1}, (spec,), payload, quantization)


def batch(offset: int, count: int) -> RecordBatch:
    payload = np.concatenate([np.arange(2, dtype=F4) + 2 * n for n in range(offset, offset + count)]).tobytes()
    return RecordBatch("wf/x", Kind.EVENT, 1, offset, count, 2, offset, 7, PAIR, payload)


def batches_of(queue: Queue) -> list[RecordBatch]:
    found = []
    while queue:
        item = queue.take()
        found.append(item if isinstance(item, RecordBatch) else joined_batch(item, queue))
    return found


def contents(items: list[Any]) -> list[tuple[object, ...]]:
    messages = [each for item in items for each in ([item] if isinstance(item, Message) else item.messages())]
    return [
        (each.stream, each.epoch, each.offset, each.publisher, each.quantization, each.tensor.tolist())
        for each in messages
    ]


HOWS: dict[str, Callable[[int], list[Received]]] = {
    "message": lambda at: [message(at)],
    "others": lambda at: [message(at, publisher=3)],
    "run": lambda at: [message_run(at, 4)],
    "batch": lambda at: [batch(at, 3)],
    "epoch": lambda at: [message(at, epoch=2)],
    "stream": lambda at: [message(at, stream="wf/y")],
    "quantized": lambda at: [message(at, quantization=Quantization(12, 0.5, 0.0))],
    "named": lambda at: [message(at, spec=TensorSpec("w", F4, (2,)))],
}


@given(
    st.lists(
        st.tuples(st.sampled_from([*HOWS, "message", "message", "run"]), st.sampled_from([0, 0, 0, 1])), max_size=12
    )
)
def test_batches_hold_what_comes_one_by_one(steps: list[tuple[str, int]]) -> None:
    items: list[Any] = []
    at = 0
    for how, gap in steps:
        items += HOWS[how](at + gap)
        at = items[-1].offset + items[-1].count
    found = batches_of(Queue(items))
    assert contents(found) == contents(items)
    for each in found:
        assert not each.array.flags.writeable
        assert each.array.shape == (each.count, 2)


def test_alike_messages_and_runs_that_follow_are_one_batch() -> None:
    found = batches_of(Queue([message(3), message_run(4, 5), message(9), message(10), message(12)]))
    assert [(each.offset, each.count, each.timestamp_ns) for each in found] == [(3, 8, 3), (12, 1, 12)]
    assert found[0].array.tolist() == [[2 * n, 2 * n + 1] for n in range(3, 11)]


def test_a_message_alone_is_not_copied() -> None:
    alone = message(3)
    (found,) = batches_of(Queue([alone]))
    assert np.shares_memory(found.array, alone.tensor)
    packed = batch(4, 3)
    assert batches_of(Queue([message(3), packed]))[1] is packed


def test_only_so_many_bytes_are_joined() -> None:
    size = MAX_JOINED_BYTES // 2
    spec = TensorSpec("", np.dtype(np.uint8), (size,))
    queue = Queue([message(n, spec=spec, payload=bytes([n]) * size) for n in range(3)])
    assert [each.count for each in batches_of(queue)] == [2, 1]
    large = TensorSpec("", np.dtype(np.uint8), (MAX_JOINED_BYTES,))
    queue = Queue([message(n, spec=large, payload=bytes(MAX_JOINED_BYTES)) for n in range(2)])
    assert [each.count for each in batches_of(queue)] == [1, 1]


def test_a_message_that_is_no_record_takes_none_along() -> None:
    queue = Queue([message(4)])
    odd = Message("wf/x", Kind.EVENT, 1, 3, 2, 0, 0, None, (PAIR, PAIR), bytes(16))
    with pytest.raises(InvalidArgument, match="no record"):
        joined_batch(odd, queue)
    assert len(queue) == 1


def awaited(count: int) -> tuple[Queue, list[tuple[int, bool]]]:
    """Messages that wait for answers, and the offsets that were answered with whether they were processed."""
    answers: list[tuple[int, bool]] = []
    scope, queue = AckScope(None), Queue()
    for offset in range(count):
        each = message(offset)
        unit = AckUnitRange(1, offset, 1, 8, None, None)
        pending = PendingAck(unit, lambda p: answers.append((p.unit.first, p.processed)), lambda p: None)
        each.ack_handle = AckHandle(pending, scope)
        queue.append(each)
    return queue, answers


def test_the_answer_to_a_batch_is_that_to_all_its_messages() -> None:
    for answer, processed in ((JoinedAckHandle.done, True), (lambda handle: handle.refuse(7), False)):
        queue, answers = awaited(3)
        (found,) = batches_of(queue)
        assert isinstance(found.ack_handle, JoinedAckHandle)
        answer(found.ack_handle)
        assert answers == [(0, processed), (1, processed), (2, processed)]


async def test_messages_of_a_batch_are_answered_by_themselves() -> None:
    queue, answers = awaited(3)
    (found,) = batches_of(queue)
    _, second, third = found.messages()
    await second.nack()
    await third.ack()
    assert answers == [(1, False), (2, True)]
    await found.ack()
    assert answers == [(1, False), (2, True), (0, True)]


def test_messages_that_wait_for_an_answer_are_not_joined_with_those_that_do_not() -> None:
    queue, _ = awaited(2)
    assert [each.count for each in batches_of(Queue([*queue, message(2), message(3)]))] == [2, 2]
