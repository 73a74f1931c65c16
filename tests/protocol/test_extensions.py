"""Invariant: an extension block is read as it was written, whatever later versions add; random bytes are refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, PeerError, RequestRefused
from gateway.protocol.dtypes import code_of
from gateway.protocol.extensions import Extensions, Extent, Quantization, block_bytes, parse_extensions
from tests.protocol.strategies import EXTENSIONS


@given(EXTENSIONS)
def test_round_trip(extensions: Extensions) -> None:
    block = extensions.write()
    assert block_bytes(block, 0) == len(block)
    assert parse_extensions(block) == extensions


@given(EXTENSIONS, st.integers(6, 255), st.binary(max_size=4).map(lambda data: data * 8), st.integers(0, 2**32 - 1))
def test_fields_of_a_later_version_are_skipped(extensions: Extensions, kind: int, data: bytes, value: int) -> None:
    field = struct.pack("<BBHI", kind, 0, 1 + len(data) // 8, value) + data
    fields = extensions.write()[8:]
    for body in (field + fields, fields + field):
        assert parse_extensions(struct.pack("<HHI", 1 + len(body) // 8, 0, 0) + body) == extensions


@given(st.integers(1, 6), st.integers(0, 4), st.integers(0, 40), st.binary(max_size=6).map(lambda data: data * 8))
def test_random_fields_give_documented_errors_only(kind: int, units: int, value: int, data: bytes) -> None:
    body = struct.pack("<BBHI", kind, 0, units, value) + data
    codes = []
    try:
        parse_extensions(struct.pack("<HHI", 1 + len(body) // 8, 0, 0) + body)
    except RequestRefused as refusal:
        codes.append(refusal.code)
    assert codes in ([], [Code.INVALID_REQUEST])


def test_a_block_of_no_units() -> None:
    with pytest.raises(PeerError) as caught:
        block_bytes(bytes(8), 0)
    assert caught.value.code == Code.MALFORMED_FRAME


def test_too_many_dimensions_cannot_be_written() -> None:
    with pytest.raises(InvalidArgument, match="33 dimensions"):
        Extensions(region=(Extent(0, 1, 1),) * 33).write()


def test_a_region_with_a_step_of_0_names_its_dimension() -> None:
    block = Extensions(region=(Extent(0, 4, 1), Extent(0, 2, 0))).write()
    with pytest.raises(RequestRefused, match="step 0 in dimension 1") as refused:
        parse_extensions(block)
    assert refused.value.code == Code.INVALID_REQUEST


def test_a_quantization_knows_the_dtype_of_its_stream() -> None:
    assert Quantization(code_of(np.dtype("<f8")), 0.5, 0.0).dtype == np.dtype("<f8")
    with pytest.raises(RequestRefused) as refused:
        _ = Quantization(99, 0.5, 0.0).dtype
    assert refused.value.code == Code.INVALID_TENSOR
