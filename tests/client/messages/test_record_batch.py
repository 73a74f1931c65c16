"""Tests that record batches are views of the received bytes, in one piece and record by record."""

import numpy as np
import pytest

from gateway.client.messages.ack_handle import AckHandle, AckScope, AckUnitRange, PendingAck
from gateway.client.messages.message import Message
from gateway.client.messages.record_batch import RecordBatch
from gateway.errors import InvalidArgument
from gateway.protocol.extensions import Quantization
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import TensorSpec

F4 = np.dtype("<f4")


def message(specs: tuple[TensorSpec, ...], payload: bytes) -> Message:
    return Message("wf/x", Kind.EVENT, 5, 10, 3, 1_000_000_000, 1_250_000_000, None, specs, memoryview(payload))


def batch(count: int = 3) -> RecordBatch:
    payload = np.arange(count * 2, dtype=F4).tobytes()
    return RecordBatch("wf/x", Kind.EVENT, 5, 10, count, 3, 1, 2, TensorSpec("", F4, (2,)), memoryview(payload))


def test_a_batch_is_one_read_only_array() -> None:
    received = batch()
    assert received.array.shape == (3, 2)
    assert not received.array.flags.writeable
    assert received.nbytes == 24
    assert received.latency_s == 1e-9
    assert repr(received) == "<RecordBatch wf/x offsets 10 to 12 (float32[2] each)>"


def test_a_batch_taken_apart_gives_messages_over_the_same_memory() -> None:
    received = batch()
    messages = list(received.messages())
    assert [record.offset for record in messages] == [10, 11, 12]
    assert [record.tensor.tolist() for record in messages] == [[0, 1], [2, 3], [4, 5]]
    assert all(np.shares_memory(record.tensor, received.array) for record in messages)


def test_a_batch_without_its_first_records_is_over_the_same_memory() -> None:
    received = batch(4)
    rest = received.after(3)
    assert (rest.offset, rest.count) == (13, 1)
    assert rest.array.tolist() == [[6, 7]]
    assert np.shares_memory(rest.array, received.array)


def test_records_of_zero_dimensions_stay_arrays() -> None:
    scalars = RecordBatch("wf/x", None, 0, 0, 2, 0, 0, 0, TensorSpec("", F4, ()), np.array([1, 2], F4).tobytes())
    assert [record.tensor.shape for record in scalars.messages()] == [(), ()]


def test_a_single_message_is_a_batch_of_one() -> None:
    one = RecordBatch.of(message((TensorSpec("", F4, (2,)),), bytes(8)))
    assert (one.count, one.offset, one.array.shape) == (1, 10, (1, 2))


@pytest.mark.parametrize("specs", [(), (TensorSpec("a", F4, ()), TensorSpec("b", F4, ()))])
def test_a_message_that_is_no_record_is_refused(specs: tuple[TensorSpec, ...]) -> None:
    with pytest.raises(InvalidArgument, match="no record"):
        RecordBatch.of(message(specs, bytes(16)))


def test_what_is_cut_from_a_quantized_batch_is_quantized_alike() -> None:
    how = Quantization(12, 0.5, 0.0)
    spec = TensorSpec("", np.dtype(np.uint8), (2,))
    batch = RecordBatch("wf/x", Kind.EVENT, 5, 10, 3, 3, 0, 0, spec, bytes([0, 1, 2, 3, 4, 5]))
    np.testing.assert_array_equal(batch.dequantized(), batch.array)  # nothing was quantized
    batch.quantization = how
    assert batch.dequantized().tolist() == [[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]
    assert batch.after(1).dequantized().tolist() == [[1.0, 1.5], [2.0, 2.5]]
    *_, record = batch.messages()
    assert record.dequantized().tolist() == [2.0, 2.5]
    assert RecordBatch.of(record).dequantized().tolist() == [[2.0, 2.5]]


def ignore(pending: PendingAck) -> None:
    """Take an outcome that the test does not look at."""


def test_no_field_of_a_batch_is_forgotten_when_it_is_copied() -> None:
    source = batch()
    source.quantization = Quantization(12, 0.5, 0.0)
    source.ack_handle = AckHandle(PendingAck(AckUnitRange(1, 0, 3, 24, None, None), ignore, ignore), AckScope(None))
    assert source.array is not None
    copy = RecordBatch.__new__(RecordBatch)
    copy.copy_from(source)
    fields = [name for kind in RecordBatch.__mro__ for name in getattr(kind, "__slots__", ())]
    assert all(getattr(copy, name) is getattr(source, name) for name in fields)


def test_a_batch_is_acknowledged_when_all_its_records_are() -> None:
    settled: list[bool] = []

    def settle(pending: PendingAck) -> None:
        settled.append(pending.processed)

    received = batch(count=2)
    received.ack_handle = AckHandle(PendingAck(AckUnitRange(1, 0, 2, 16, None, None), settle, ignore), AckScope(None))
    first, second = received.messages()
    assert first.ack_handle is not None
    assert second.ack_handle is not None
    first.ack_handle.done()
    first.ack_handle.done()
    assert settled == []
    second.ack_handle.done()
    assert settled == [True]


def test_the_newest_record_of_a_batch_does_not_keep_the_others() -> None:
    received = batch(4)
    last = received.newest(complete=True)
    assert (last.offset, last.count, last.nbytes) == (13, 1, 8)
    assert last.array.tolist() == [[6, 7]]
    assert not np.shares_memory(last.array, received.array)
    assert last.newest(complete=True) is last
