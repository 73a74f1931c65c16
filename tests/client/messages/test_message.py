"""Tests that messages are views of the received bytes."""

import numpy as np
import pytest

from gateway.client.messages.message import Message, messages_like
from gateway.errors import InvalidArgument
from gateway.protocol.extensions import Quantization
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import TensorSpec

F4 = np.dtype("<f4")


def message(specs: tuple[TensorSpec, ...], payload: bytes, headers: dict[str, object] | None = None) -> Message:
    return Message("wf/x", Kind.EVENT, 5, 10, 3, 1_000_000_000, 1_250_000_000, headers, specs, memoryview(payload))


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
    received = message((), b"")
    assert received.latency_s == 0.25
    received.received_ns = 0
    assert received.latency_s == 0


def test_a_message_shows_what_it_is() -> None:
    assert repr(message((TensorSpec("", F4, (2, 3)),), bytes(24))) == "<Message wf/x offset 10 (tensor: float32[2, 3])>"
    assert repr(message((), b"")) == "<Message wf/x offset 10 (no tensor)>"


def test_messages_like_another_differ_in_offset_timestamp_and_payload_only() -> None:
    payloads = np.arange(8, dtype=F4).tobytes()
    model = message((TensorSpec("", F4, (1,)),), payloads[:4], {"step": 1})
    model.quantization = Quantization(12, 0.5, 0.0)
    received = list(messages_like(model, [7, 8, 9], memoryview(payloads), 4, 8))
    assert [each.offset for each in received] == [10, 11, 12]
    assert [each.timestamp_ns for each in received] == [7, 8, 9]
    assert [each.tensor.tolist() for each in received] == [[0], [2], [4]]
    assert all(each.headers == {} for each in received)
    assert received[0].headers is not received[1].headers
    as_the_model = ("stream", "kind", "epoch", "publisher", "received_ns", "quantization", "specs")
    assert all(getattr(each, name) == getattr(model, name) for each in received for name in as_the_model)


def test_no_field_of_a_message_is_forgotten_when_it_is_made_like_another() -> None:
    model = message((TensorSpec("", F4, (1,)),), bytes(4))
    (made,) = messages_like(model, [model.timestamp_ns], memoryview(bytes(4)), 4, 4)
    fields = [name for kind in Message.__mro__ for name in getattr(kind, "__slots__", ())]
    assert {name: getattr(made, name) for name in fields} == {name: getattr(model, name) for name in fields}
