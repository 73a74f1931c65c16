"""Stored payload: what is packed is unpacked, and nothing else is."""

from __future__ import annotations

import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.payloads.stored_payload import (
    HEADER,
    MAX_DESCRIPTION_BYTES,
    MAX_SAMPLE_BYTES,
    BadPayload,
    PayloadDescription,
    StoredPayload,
    size_of,
    whole_payloads,
)
from gateway.optimizer.shadow.sample_memory import TRIED_BYTES
from gateway.protocol.wire import MAX_NAME_BYTES, MAX_NDIM
from tests.optimizer.payloads.payloads import stored

DESCRIPTIONS = st.builds(
    PayloadDescription,
    time_ns=st.integers(0, 2**63),
    stream=st.text(max_size=40),
    view=st.text(max_size=40),
    dtype=st.sampled_from(["float32", "int64", ""]),
    shape=st.lists(st.integers(0, 2**40), max_size=8).map(tuple),
    element=st.sampled_from(["float32", "uint8"]),
    integers=st.booleans(),
    payload_bytes=st.integers(0, 2**50),
)
SAMPLES = st.binary(max_size=200).flatmap(
    lambda sample: st.tuples(st.just(sample), st.sampled_from([b"", sample[::-1]]))
)


@given(DESCRIPTIONS, SAMPLES)
def test_what_is_packed_is_unpacked(description: PayloadDescription, samples: tuple[bytes, bytes]) -> None:
    payload = StoredPayload(description, *samples)
    assert StoredPayload.unpack(payload.pack()) == payload


@given(st.data())
def test_bytes_that_were_changed_or_cut_are_none(data: st.DataObject) -> None:
    packed = stored(size=64, base=True).pack()
    place = data.draw(st.integers(0, len(packed) - 1))
    changed = bytearray(packed)
    changed[place] ^= data.draw(st.integers(1, 255))
    for wrong in (bytes(changed), packed[:place], packed + b"x"):
        with pytest.raises(BadPayload):
            StoredPayload.unpack(wrong)


@pytest.mark.parametrize("field", ["time_ns", "stream", "shape", "element"])
def test_a_description_without_a_field_is_none(field: str) -> None:
    described = {"time_ns": 1, "stream": "a", "view": "", "dtype": "", "shape": [], "element": "uint8"}
    described |= {"integers": False, "payload_bytes": 1}
    endless = json.dumps(described | {"time_ns": float("inf")}).encode()
    del described[field]
    for text in (json.dumps(described).encode(), b"[]", b"\xff", endless, b"[" * MAX_DESCRIPTION_BYTES):
        sizes = len(text), 0, 0
        checksum = zlib.crc32(text, zlib.crc32(struct.pack("<3I", *sizes)))
        with pytest.raises(BadPayload, match="description"):
            StoredPayload.unpack(HEADER.pack(b"\xf5FP\x01", *sizes, checksum) + text)


def test_sizes_beyond_the_bounds_are_refused_before_the_bytes_are_there() -> None:
    for sizes in ((MAX_DESCRIPTION_BYTES + 1, 0, 0), (0, MAX_SAMPLE_BYTES + 1, 0), (0, 0, 2**32 - 1)):
        with pytest.raises(BadPayload, match="no stored payload begins"):
            size_of(HEADER.pack(b"\xf5FP\x01", *sizes, 0), 0)


def test_the_previous_version_is_as_long_as_the_sample() -> None:
    one = stored(size=64)
    with pytest.raises(BadPayload, match="previous version of 3 bytes beside a sample of 64"):
        StoredPayload.unpack(StoredPayload(one.description, one.sample, b"abc").pack())


def test_the_sizes_of_whole_ones_are_found_in_a_pipe() -> None:
    packed = [stored(number, 100 + number).pack() for number in range(3)]
    data = b"".join(packed)
    assert list(whole_payloads(data[:-1])) == [len(each) for each in packed[:2]]
    assert list(whole_payloads(data)) == [len(each) for each in packed]


def test_there_is_room_for_the_longest_sample_and_description() -> None:
    assert MAX_SAMPLE_BYTES == TRIED_BYTES
    name = "\U0001f600" * (MAX_NAME_BYTES // 4)
    description = stored(stream=name, view="v" * MAX_NAME_BYTES, shape=(2**63,) * MAX_NDIM).description
    sample = bytes(MAX_SAMPLE_BYTES)
    assert StoredPayload.unpack(StoredPayload(description, sample, sample).pack()).description == description
    for longer in (stored(view="v" * MAX_DESCRIPTION_BYTES), StoredPayload(description, sample + b"x")):
        with pytest.raises(BadPayload, match="there is room for no more than"):
            longer.pack()
