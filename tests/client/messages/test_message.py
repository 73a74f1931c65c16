"""Tests that messages are views of the received bytes."""

import asyncio
import copy
import pickle
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

from gateway.client.messages.ack_handle import AckHandle, AckScope, AckUnitRange, PendingAck
from gateway.client.messages.message import Acknowledged, Message
from gateway.client.messages.record_batch import RecordBatch
from gateway.errors import Code, InvalidArgument, UsageError
from gateway.protocol.dtypes import DTYPES, code_of
from gateway.protocol.extensions import Quantization
from gateway.protocol.messages import Kind
from gateway.protocol.regions import Region
from gateway.protocol.tensors import TensorSpec, payload_layout

F4 = np.dtype("<f4")


def message(
    specs: tuple[TensorSpec, ...],
    payload: bytes,
    headers: dict[str, object] | None = None,
    *,
    received_ns: int = 1_250_000_000,
    quantization: Quantization | None = None,
) -> Message:
    view = memoryview(payload)
    return Message("wf/x", Kind.EVENT, 5, 10, 3, 1_000_000_000, received_ns, headers, specs, view, quantization)


def test_the_tensor_is_a_read_only_view() -> None:
    payload = np.arange(6, dtype=F4).tobytes()
    received = message((TensorSpec("", F4, (2, 3)),), payload)
    assert received.tensor.shape == (2, 3)
    assert np.shares_memory(received.tensor, np.frombuffer(payload, np.uint8))
    assert received.tensor is received.tensor
    with pytest.raises(ValueError, match="read-only"):
        received.tensor[0] = 1


def test_several_tensors_are_taken_by_name() -> None:
    specs = (TensorSpec("w", F4, (2,)), TensorSpec("b", F4, ()))
    received = message(specs, np.array([1, 2, 3], F4).tobytes())
    assert list(received.tensors) == ["w", "b"]
    assert received.tensors["b"] == 3
    with pytest.raises(InvalidArgument, match=r"'w', 'b'"):
        _ = received.tensor


def test_a_message_without_tensors_says_so() -> None:
    received = message((), b"", {"step": 1})
    assert received.tensors == {}
    assert received.headers == {"step": 1}
    with pytest.raises(InvalidArgument, match="none"):
        _ = received.tensor


def test_headers_are_never_none() -> None:
    assert message((), b"").headers == {}


def test_latency_is_the_time_between_publishing_and_arrival_and_not_negative() -> None:
    assert message((), b"").latency_s == 0.25
    assert message((), b"", received_ns=0).latency_s == 0


def test_a_message_shows_what_it_is() -> None:
    assert repr(message((TensorSpec("", F4, (2, 3)),), bytes(24))) == "<Message wf/x offset 10 (tensor: float32[2, 3])>"
    assert repr(message((), b"")) == "<Message wf/x offset 10 (no tensor)>"


def test_no_field_of_a_message_is_forgotten_when_it_is_copied() -> None:
    source = message((TensorSpec("", F4, (2,)),), np.array([1, 2], F4).tobytes(), {"step": 1})
    source.patched_by(Region.of(slice(1, 2)), TensorSpec("", F4, (1,)), np.array([2], F4).tobytes())
    source.ack_handle = AckHandle(PendingAck(AckUnitRange(5, 10, 1, 8, None, None), ignore, ignore), AckScope(None))
    copy = Message.__new__(Message)
    copy.copy_from(source)
    fields = [name for kind in Message.__mro__ for name in getattr(kind, "__slots__", ())]
    assert all(getattr(copy, name) is getattr(source, name) for name in fields)
    assert copy.headers == {"step": 1}
    assert np.shares_memory(copy.tensor, source.tensor)


def ignore(pending: PendingAck) -> None:
    """Take an outcome that the test does not look at."""


async def test_an_answer_goes_to_the_handle_and_the_first_one_counts() -> None:
    scope = AckScope(None)
    settled: list[tuple[bool, int]] = []

    def settle(pending: PendingAck) -> None:
        settled.append((pending.processed, pending.code))

    received = message((), b"")
    for answer in (received.ack, received.nack):
        received.ack_handle = AckHandle(PendingAck(AckUnitRange(5, 10, 1, 0, None, None), settle, ignore), scope)
        await answer()
    await received.ack()
    assert settled == [(True, 0), (False, Code.NOT_PROCESSED)]


@pytest.mark.parametrize("code", ["x", None, 1.0, -1, 0, 2**32, 2**40])
@pytest.mark.parametrize("batch", [False, True], ids=["message", "batch"])
async def test_a_code_that_done_cannot_carry_is_refused_and_the_message_stays_unanswered(
    code: Any, batch: bool
) -> None:
    scope = AckScope(None)
    settled: list[int] = []
    single = message((TensorSpec("", F4, ()),), np.zeros((), F4).tobytes())
    received: Acknowledged = RecordBatch.of(single) if batch else single
    received.ack_handle = AckHandle(
        PendingAck(AckUnitRange(5, 10, 1, 0, None, None), lambda pending: settled.append(pending.code), ignore), scope
    )
    with pytest.raises(InvalidArgument, match="from 1 to 4294967295"):
        await received.nack(code)
    assert settled == []
    await received.nack(2**32 - 1)
    assert settled == [2**32 - 1]


async def test_answers_of_a_message_that_is_not_acknowledged_have_no_effect() -> None:
    received = message((), b"")
    await received.ack()
    await received.nack()
    assert received.ack_handle is None


def test_a_patch_names_what_it_has_changed() -> None:
    received = message((TensorSpec("w", F4, (3,)),), np.array([1, 7, 3], F4).tobytes())
    received.patched_by(Region.of(slice(1, 2)), TensorSpec("w", F4, (1,)), np.array([7], F4).tobytes())
    assert received.patched == "w"
    assert received.region is not None
    assert received.patch is not None
    assert received.tensor[received.region].tolist() == received.patch.tolist() == [7]


def test_dequantizing_undoes_quantization_and_nothing_else() -> None:
    received = message((TensorSpec("", np.dtype("i1"), (2,)),), np.array([2, -4], np.int8).tobytes())
    assert received.dequantized() is received.tensor
    how = Quantization(code_of(F4), 0.5, 0.0)
    assert message(received.specs, received.tensor.tobytes(), quantization=how).dequantized().tolist() == [1, -2]


def acknowledged() -> tuple[Message, list[int]]:
    """Return a message that waits for its answer, and the list of the codes of its answers."""
    settled: list[int] = []
    unit = AckUnitRange(5, 10, 1, 0, None, None)
    received = message((), b"")
    received.ack_handle = AckHandle(
        PendingAck(unit, lambda pending: settled.append(pending.code), ignore), AckScope(None)
    )
    return received, settled


COPIES: Final[dict[str, Callable[[Any], Any]]] = {
    "pickle": lambda item: pickle.loads(pickle.dumps(item)),  # noqa: S301
    "deepcopy": copy.deepcopy,
}
FIELDS: Final = ("stream", "kind", "epoch", "offset", "publisher", "timestamp_ns", "received_ns", "headers", "specs")


@pytest.mark.parametrize("way", COPIES)
def test_a_message_travels_with_its_tensors_which_stay_read_only(way: str) -> None:
    bfloat16 = next(dtype for dtype in DTYPES if dtype.name == "bfloat16")
    specs = (TensorSpec("w", F4, (2,)), TensorSpec("b", bfloat16, ()))
    payload = np.array([1, 2], F4).tobytes() + bytes(8) + b"\x80\x3f"
    how = Quantization(12, 0.5, 0.0)
    original = message(specs, payload[: payload_layout(specs)[1]], {"step": 1}, quantization=how)
    _ = original.tensors
    arrived = COPIES[way](original)
    assert type(arrived) is Message
    assert all(getattr(arrived, name) == getattr(original, name) for name in (*FIELDS, "quantization"))
    assert arrived.headers is not original.headers
    for name, tensor in original.tensors.items():
        np.testing.assert_array_equal(arrived.tensors[name], tensor)
        assert not np.shares_memory(arrived.tensors[name], tensor)
        assert not arrived.tensors[name].flags.writeable


@pytest.mark.parametrize("way", COPIES)
def test_a_patched_message_travels_with_its_patch(way: str) -> None:
    original = message((TensorSpec("w", F4, (4,)),), np.arange(4, dtype=F4).tobytes())
    original.patched_by(Region.of(np.s_[1:3]), TensorSpec("w", F4, (2,)), np.array([1, 2], F4).tobytes())
    arrived = COPIES[way](original)
    assert (arrived.region, arrived.patched) == ((slice(1, 3, 1),), "w")
    np.testing.assert_array_equal(arrived.tensor[arrived.region], arrived.patch)
    assert not arrived.patch.flags.writeable


PROTOCOLS: Final = pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))


@PROTOCOLS
def test_every_protocol_of_pickle_takes_a_message(protocol: int) -> None:
    sent = message((TensorSpec("", np.dtype("<f8"), (3,)),), np.arange(3.0).tobytes(), {"step": 1})
    copied = pickle.loads(pickle.dumps(sent, protocol))  # noqa: S301
    assert (copied.stream, copied.offset, copied.headers) == (sent.stream, sent.offset, sent.headers)
    np.testing.assert_array_equal(copied.tensor, sent.tensor)


@PROTOCOLS
def test_every_protocol_of_pickle_takes_what_is_acknowledged_and_a_copy_of_the_copy(protocol: int) -> None:
    task, _ = acknowledged()
    batch = RecordBatch("wf/x", Kind.CONTROL, 5, 10, 2, 3, 7, 9, TensorSpec("", F4, (1,)), bytes(8))
    batch.ack_handle = acknowledged()[0].ack_handle
    for sent in (task, batch, next(batch.messages())):
        copied: Any = sent
        for _ in range(2):
            copied = pickle.loads(pickle.dumps(copied, protocol))  # noqa: S301
            assert (type(copied), copied.stream, copied.offset, copied.count) == (type(sent), "wf/x", 10, sent.count)
            with pytest.raises(UsageError, match="copy of a message of wf/x"):
                asyncio.run(copied.ack())


def test_a_pickled_message_takes_only_its_part_of_the_buffer_along() -> None:
    buffer = memoryview(bytes(1_000_000))
    small = Message("wf/x", None, 0, 0, 0, 0, 0, None, (TensorSpec("", F4, (1,)),), buffer[:4])
    assert len(pickle.dumps(small)) < 2000


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_an_acknowledged_message_says_that_it_cannot_be_acknowledged(way: str) -> None:
    original, settled = acknowledged()
    arrived = COPIES[way](original)
    with pytest.raises(UsageError, match="copy of a message of wf/x"):
        asyncio.run(arrived.ack())
    with pytest.raises(UsageError, match="copy of a message of wf/x"):
        asyncio.run(arrived.nack())
    with pytest.raises(UsageError, match="copy of a message of wf/x"):
        asyncio.run(arrived.in_progress())
    assert settled == []
    asyncio.run(COPIES[way](message((), b"")).ack())
    asyncio.run(copy.copy(original).ack())
    assert len(settled) == 1


@pytest.mark.parametrize("way", COPIES)
def test_a_record_batch_travels_and_its_records_cannot_be_acknowledged(way: str) -> None:
    original, _ = acknowledged()
    batch = RecordBatch("wf/x", Kind.CONTROL, 5, 10, 2, 3, 7, 9, TensorSpec("", F4, (1,)), bytes(8))
    batch.ack_handle = original.ack_handle
    _ = batch.array
    arrived = COPIES[way](batch)
    assert (arrived.stream, arrived.offset, arrived.count, arrived.array.tolist()) == ("wf/x", 10, 2, [[0], [0]])
    assert not arrived.array.flags.writeable
    for record in arrived.messages():
        with pytest.raises(UsageError, match="copy"):
            asyncio.run(record.ack())
