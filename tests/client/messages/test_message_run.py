"""Tests that a run gives the messages that it is made of, one by one and as one batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gateway.client.messages.message_run import MessageRun
from gateway.errors import InvalidArgument
from gateway.protocol.data import write_data
from gateway.protocol.messages import Kind
from gateway.protocol.meta import parse_meta, write_meta
from gateway.protocol.runs import FrameRun, iter_runs
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Opcode

F4 = np.dtype("<f4")


def run(count: int, specs: tuple[TensorSpec, ...], headers: dict[str, Any] | None = None) -> MessageRun:
    """Messages from offset 10 on; each float is 10 times the offset and its place in the payload."""
    size = sum(spec.nbytes for spec in specs) // 4
    parts = [
        write_data(
            Opcode.MESSAGE,
            stream=7,
            publisher=3,
            offset=offset,
            timestamp_ns=offset + 1_000_000,
            meta=write_meta(specs, headers),
            payload=[(np.arange(size, dtype=F4) + offset * 10).tobytes()],
        )
        for offset in range(10, 10 + count)
    ]
    (frames,) = iter_runs(memoryview(b"".join(b"".join(part) for part in parts)))
    assert isinstance(frames, FrameRun)
    return MessageRun("wf/x", Kind.EVENT, 5, 2_000_000, frames, parse_meta(frames.meta))


def test_messages_are_views_of_the_received_bytes() -> None:
    received = run(5, (TensorSpec("", F4, (3,)),))
    messages = list(received.messages())
    assert [message.offset for message in messages] == [10, 11, 12, 13, 14]
    assert [message.tensor.tolist() for message in messages] == [
        [n * 10, n * 10 + 1, n * 10 + 2] for n in range(10, 15)
    ]
    assert [message.timestamp_ns for message in messages] == [1_000_010 + n for n in range(5)]
    first = messages[0]
    assert (first.stream, first.kind, first.epoch, first.publisher) == ("wf/x", Kind.EVENT, 5, 3)
    assert (first.received_ns, first.headers, first.ack_handle) == (2_000_000, {}, None)
    assert not first.tensor.flags.writeable
    assert np.shares_memory(first.tensor, next(received.messages()).tensor)


def test_a_run_says_what_it_is() -> None:
    received = run(5, (TensorSpec("", F4, (3,)),))
    assert (received.offset, received.count, received.ack_handle) == (10, 5, None)
    assert received.nbytes == 5 * (32 + 8 + 16)  # 12 bytes of payload, padded
    assert repr(received) == "<MessageRun wf/x offsets 10 to 14>"


def test_each_message_has_headers_of_its_own() -> None:
    first, second, *_ = run(4, (TensorSpec("", F4, ()),), {"tags": ["a"]}).messages()
    first.headers["tags"].append("b")
    assert second.headers == {"tags": ["a"]}


def test_it_knows_how_many_messages_are_left_to_be_made() -> None:
    whole = run(4, (TensorSpec("", F4, (2,)),))
    left = [(whole.left, whole.nbytes_left)]
    messages = whole.messages()
    for _ in range(4):
        left.append((whole.left, whole.nbytes_left))
        next(messages)
    left.append((whole.left, whole.nbytes_left))
    stride = whole.nbytes // 4
    assert left == [(count, count * stride) for count in (4, 4, 3, 2, 1, 0)]


def test_messages_of_several_tensors_and_of_none() -> None:
    pair = (TensorSpec("a", F4, (2,)), TensorSpec("b", F4, (4,)))
    (message, *_) = run(4, pair).messages()
    assert {name: tensor.tolist() for name, tensor in message.tensors.items()} == {
        "a": [100, 101],
        "b": [102, 103, 104, 105],
    }
    assert [message.tensors for message in run(4, (), {"step": 1}).messages()] == [{}] * 4
    for specs in (pair, ()):
        with pytest.raises(InvalidArgument, match="no records"):
            run(4, specs).batch()


@pytest.mark.parametrize("shape", [(), (3,), (2, 2), (0,)])
def test_as_a_batch_it_is_one_array_without_gaps(shape: tuple[int, ...]) -> None:
    received = run(6, (TensorSpec("", F4, shape),))
    batch = received.batch()
    assert (batch.offset, batch.count, batch.timestamp_ns, batch.received_ns) == (10, 6, 1_000_010, 2_000_000)
    assert batch.array.shape == (6, *shape)
    assert batch.array.flags.c_contiguous
    assert not batch.array.flags.writeable
    assert batch.array.tolist() == [message.tensor.tolist() for message in received.messages()]


def test_without_its_first_messages_it_is_over_the_same_memory() -> None:
    received = run(6, (TensorSpec("", F4, (3,)),))
    rest = received.after(4)
    assert (rest.offset, rest.count) == (14, 2)
    whole, left = list(received.messages())[4:], list(rest.messages())
    assert [each.tensor.tolist() for each in left] == [each.tensor.tolist() for each in whole]
    assert [each.timestamp_ns for each in left] == [each.timestamp_ns for each in whole]
    assert np.shares_memory(left[0].tensor, whole[0].tensor)


def test_the_newest_message_of_a_run_is_a_run() -> None:
    newest = run(4, (TensorSpec("", F4, (2,)),)).newest(complete=True)
    assert [message.offset for message in newest.messages()] == [13]
    assert newest.newest(complete=False) is newest
