"""Tests the newest versions of states: what a patch makes of one, and which one is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.subscribing.versions import COPY_BYTES, SWEPT, Version, Versions
from gateway.errors import Code, RequestRefused
from gateway.protocol.extensions import Extent
from gateway.protocol.regions import Region
from gateway.protocol.tensors import TensorSpec, as_wire_array, payload_buffers, spec_of, view_tensors
from tests.protocol.strategies import Array, arrays, same_bits
from tests.protocol.test_regions import keys

SPECS = (TensorSpec("w", np.dtype(np.int16), (3, 4)), TensorSpec("", np.dtype(np.uint8), (5,)))


def version(epoch: int = 1, offset: int = 6) -> Version:
    return Version(epoch, offset, SPECS, bytes(29))


@given(st.data(), arrays(max_ndim=4), st.integers(0, 3))
def test_a_patch_does_what_numpy_does_and_leaves_the_version_before_it_alone(
    data: st.DataObject, state: Array, before: int
) -> None:
    others: list[Array] = [np.full(before, 9, np.int64), np.arange(3, dtype=np.uint8)]
    tensors = [others[0], state, others[1]]
    specs = tuple(spec_of(array, name) for array, name in zip(tensors, "abc", strict=True))
    payload = b"".join(map(bytes, payload_buffers(tensors)))
    key: Any = data.draw(keys(state.shape))
    expected = state.copy()
    expected[key] = np.ones((), state.dtype)
    region = Region.of(key, state.shape)
    patch = as_wire_array(region.selects(expected))
    held = Version(1, 6, specs, payload)
    tensor = held.check(1, 7, spec_of(patch, "b"), region)
    merged = held.patched(tensor, region, patch.tobytes())
    a, b, c = view_tensors(specs, merged)
    assert same_bits(b, expected)
    assert same_bits(a, others[0])
    assert same_bits(c, others[1])
    assert held.payload == payload
    assert merged.readonly


@pytest.mark.parametrize(
    ("epoch", "offset", "spec", "extent", "problem"),
    [
        (1, 8, TensorSpec("", np.dtype(np.uint8), (2,)), (0, 2, 1), "changes version 7, the newest here is 6"),
        (2, 7, TensorSpec("", np.dtype(np.uint8), (2,)), (0, 2, 1), "newest here"),
        (1, 7, TensorSpec("b", np.dtype(np.uint8), (2,)), (0, 2, 1), "tensor 'b': the state has none such"),
        (1, 7, TensorSpec("", np.dtype(np.int8), (2,)), (0, 2, 1), "int8 tensor ''"),
        (1, 7, TensorSpec("", np.dtype(np.uint8), (2,)), (4, 2, 1), "region"),
        (1, 7, TensorSpec("", np.dtype(np.uint8), (3,)), (0, 2, 1), r"shape \(3,\), its region \[0:2\]"),
    ],
)
def test_what_a_version_is_not_changed_by(
    epoch: int, offset: int, spec: TensorSpec, extent: tuple[int, int, int], problem: str
) -> None:
    with pytest.raises(RequestRefused, match=problem) as refusal:
        version().check(epoch, offset, spec, Region((Extent(*extent),)))
    assert refusal.value.code == Code.INVALID_REGION


def test_the_newest_is_kept_whatever_comes_of_a_session_that_is_over() -> None:
    versions = Versions()
    for epoch, offset in [(1, 5), (1, 4), (2, 0), (1, 9), (2, 0)]:
        versions.put("wf/a", epoch, offset, SPECS, bytes([epoch, offset]))
    newest = versions.get("wf/a")
    assert newest is not None
    assert (newest.epoch, newest.offset) == (2, 0)
    versions.forget("wf/a")
    versions.forget("wf/a")
    assert versions.get("wf/a") is None


def test_a_small_payload_keeps_no_large_message_alive() -> None:
    versions = Versions()
    message = memoryview(bytes(10 * COPY_BYTES))
    versions.put("wf/a", 1, 0, SPECS, message[:COPY_BYTES])
    versions.put("wf/b", 1, 0, SPECS, message[: COPY_BYTES + 1])
    small, large = versions.get("wf/a"), versions.get("wf/b")
    assert small is not None
    assert isinstance(small.payload, bytes)
    assert large is not None
    assert isinstance(large.payload, memoryview)


async def test_streams_that_nobody_wants_are_forgotten_in_turns() -> None:
    versions = Versions()
    names = [f"wf/{number}" for number in range(2 * SWEPT)]
    for name in names:
        versions.put(name, 1, 0, (), b"")
    sweeping = asyncio.create_task(versions.sweep(lambda stream: stream == names[-1]))
    await asyncio.sleep(0)
    versions.forget(names[SWEPT + 1])
    versions.put("wf/late", 1, 0, (), b"")
    versions.sweep_again()
    assert [versions.get(name) is not None for name in (names[0], names[SWEPT])] == [False, True]
    await sweeping
    assert [name for name in names if versions.get(name) is not None] == names[-1:]
