"""Tests that messages of one arrival are what each of them would be alone."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.messages.arrival import Arrival
from gateway.client.messages.message import Message, messages_of, offsets_of
from gateway.errors import RequestRefused
from gateway.protocol.dtypes import DTYPES
from gateway.protocol.extensions import Quantization
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import TensorSpec, payload_layout

F4 = np.dtype("<f4")
HOW = Quantization(12, 0.5, 0.0)
FIELDS = (
    *("ack_handle", "stream", "kind", "epoch", "offset", "publisher", "timestamp_ns", "received_ns"),
    *("headers", "specs", "quantization", "nbytes", "region", "patch", "patched"),
)


def arrival(
    specs: tuple[TensorSpec, ...], payloads: list[bytes], gap: int = 0, headers: dict[str, Any] | None = None
) -> Arrival:
    """Messages from offset 10 on, published at 1000 and 10 ns after one another."""
    size, count = len(payloads[0]), len(payloads)
    received = b"".join(payload + bytes(gap) for payload in payloads)[: (count - 1) * (size + gap) + size]
    stamps = np.arange(1000, 1000 + 10 * count, 10)
    meta = None if headers is None else write_meta(specs, headers)
    return Arrival("wf/x", Kind.EVENT, 5, 10, 3, stamps, 2000, specs, received, HOW, count, size + gap, meta)


def made_of(received: Arrival) -> Iterator[Message]:
    """Return the messages of an arrival."""
    return messages_of(received, offsets_of(received))


def alone(specs: tuple[TensorSpec, ...], index: int, payload: bytes, headers: dict[str, Any] | None = None) -> Message:
    stamp = 1000 + 10 * index
    return Message("wf/x", Kind.EVENT, 5, 10 + index, 3, stamp, 2000, headers, specs, payload, HOW)


SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(
    st.lists(st.tuples(st.sampled_from(DTYPES), SHAPES), max_size=3),
    st.integers(1, 5),
    st.sampled_from([0, 8]),
    st.none() | st.just({"a": [1]}),
    st.randoms(use_true_random=False),
)
def test_a_message_of_an_arrival_is_that_which_it_would_be_alone(
    tensors: list[tuple[Any, tuple[int, ...]]], count: int, gap: int, headers: dict[str, Any] | None, random: Any
) -> None:
    specs = tuple(TensorSpec(f"t{n}" * (len(tensors) > 1), *tensor) for n, tensor in enumerate(tensors))
    payloads = [random.randbytes(payload_layout(specs)[1]) for _ in range(count)]
    messages = list(made_of(arrival(specs, payloads, gap, headers)))
    assert len(messages) == count
    for index, (made, payload) in enumerate(zip(messages, payloads, strict=True)):
        expected = alone(specs, index, payload, headers)
        for each in (made, pickle.loads(pickle.dumps(made))):  # noqa: S301
            assert [getattr(each, name) for name in FIELDS] == [getattr(expected, name) for name in FIELDS]
            assert list(each.tensors) == list(expected.tensors)
            for name, tensor in expected.tensors.items():
                got = each.tensors[name]
                assert (got.shape, got.dtype, got.tobytes()) == (tensor.shape, tensor.dtype, tensor.tobytes())
                assert not got.flags.writeable
                assert isinstance(got, np.ndarray)
            if len(specs) == 1:
                assert each.tensor is each.tensors[specs[0].name]


def test_headers_belong_to_one_message() -> None:
    first, second = made_of(arrival((), [b"", b""], headers={"tags": ["a"]}))
    first.headers["tags"].append("b")
    assert first.headers == {"tags": ["a", "b"]}
    assert second.headers == {"tags": ["a"]}


def test_tensors_are_views_of_the_received_bytes() -> None:
    received = arrival((TensorSpec("", F4, (2,)),), [np.array([n, n], F4).tobytes() for n in range(3)], gap=16)
    for message in made_of(received):
        assert np.shares_memory(message.tensor, np.frombuffer(received.payloads, np.uint8))


def test_a_shape_that_no_array_can_have_is_refused_when_the_tensor_is_asked_for() -> None:
    for count in (1, 3):
        for message in made_of(arrival((TensorSpec("", F4, (0, 2**62, 2**62)),), [b""] * count)):
            with pytest.raises(RequestRefused, match="no array can have shape"):
                _ = message.tensor


def test_a_copy_takes_only_its_part_of_the_buffer_along() -> None:
    *_, last = made_of(arrival((TensorSpec("", F4, (1,)),), [bytes(4)] * 10_000))
    assert len(pickle.dumps(last)) < 2000
