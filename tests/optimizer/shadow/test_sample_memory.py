"""Sample memory: samples are copied once, cut to size, and wiped."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.shadow.sample_memory import SLOT_BYTES, SLOTS, TRIED_BYTES, SampleMemory


@pytest.fixture(scope="module")
def memory() -> Iterator[SampleMemory]:
    shared = SampleMemory()
    yield shared
    shared.close()
    os.close(shared.descriptor)


@given(st.binary(max_size=1000), st.none() | st.binary(max_size=1000), st.integers(0, SLOTS - 1))
def test_a_short_payload_is_taken_whole(memory: SampleMemory, payload: bytes, base: bytes | None, number: int) -> None:
    for before in (base, payload[::-1]):
        size, base_bytes = memory.fill(number, payload, before)
        slot = memory.slot(number)
        assert bytes(slot[:size]) == payload
        same = before is not None and len(before) == len(payload)
        assert bytes(slot[size : size + base_bytes]) == (before if same else b"")
        memory.clear(number)
        assert not any(memory.slot(number))


def test_a_long_payload_is_cut_to_pieces_of_its_whole_length_at_the_same_places_as_its_base(
    memory: SampleMemory,
) -> None:
    payload = np.arange(500_000, dtype=np.int64)
    size, base_bytes = memory.fill(1, payload.data.cast("B"), (payload + 1).data.cast("B"))
    assert size == base_bytes == TRIED_BYTES == SLOT_BYTES // 2
    sample = np.frombuffer(memory.slot(1)[:size], np.int64)
    assert sample[0] == 0
    assert sample[-1] == 499_999
    assert np.array_equal(np.frombuffer(memory.slot(1)[size:], np.int64), sample + 1)


def test_slots_are_apart_and_shared_by_all_that_have_the_descriptor(memory: SampleMemory) -> None:
    other = SampleMemory(os.dup(memory.descriptor))
    for number in range(SLOTS):
        memory.fill(number, bytes([number + 1]) * SLOT_BYTES, None)
    for number in range(SLOTS):
        assert bytes(other.slot(number)[:TRIED_BYTES]) == bytes([number + 1]) * TRIED_BYTES
        other.clear(number)
        assert not any(memory.slot(number))
    other.close()
    os.close(other.descriptor)


def test_a_closed_memory_takes_nothing() -> None:
    shared = SampleMemory()
    os.close(shared.descriptor)
    slot = shared.slot(0)
    shared.close()
    assert shared.fill(0, b"sample", None) == (0, 0)
    shared.clear(0)
    slot[:4] = b"late"  # of a thread that copies
