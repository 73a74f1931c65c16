"""Invariant: a meta block says exactly what was written; random bytes only give INVALID_TENSOR or INVALID_REQUEST."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, RequestRefused, UnsupportedDtype
from gateway.protocol.meta import Meta, parse_meta, with_specs, write_meta, write_tensor_meta
from gateway.protocol.tensors import TensorSpec, payload_layout, view_tensors
from gateway.protocol.wire import MAX_HEADERS_BYTES, MAX_TENSORS
from tests.protocol.strategies import dtypes, headers, names, shapes

F4 = np.dtype("<f4")
SCALAR = TensorSpec("", F4, ())
SPECS = st.lists(st.builds(TensorSpec, names, dtypes, shapes()), max_size=5, unique_by=lambda spec: spec.name)


def parsed_or_code(block: bytes) -> Meta | int:
    try:
        return parse_meta(block)
    except RequestRefused as refusal:
        return refusal.code


def refusal_of(block: bytes) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        parse_meta(block)
    return caught.value


@given(specs=SPECS, headers=headers)
def test_round_trip(specs: list[TensorSpec], headers: dict[str, Any] | None) -> None:
    block = write_meta(specs, headers)
    assert len(block) % 8 == 0
    assert parse_meta(memoryview(block)) == Meta(tuple(specs), headers, payload_layout(specs)[1])


@given(SPECS, SPECS, headers)
def test_other_tensors_leave_the_headers_as_they_are(
    specs: list[TensorSpec], others: list[TensorSpec], headers: dict[str, Any] | None
) -> None:
    assert with_specs(memoryview(write_meta(specs, headers)), others) == write_meta(others, headers)


@pytest.mark.parametrize(
    ("specs", "headers", "block"),
    [
        ([], None, b""),
        ([SCALAR], None, b"\x0c\0\0\0" + bytes(4)),
        ([TensorSpec("", F4, (2, 3))], None, b"\x0c\2\0\0" + b"\2\0\0\0\3\0\0\0" + bytes(4)),
        ([TensorSpec("wé", F4, (2,))], None, b"\x0c\1\3\0" + b"\2\0\0\0" + b"w\xc3\xa9" + bytes(5)),
        ([TensorSpec("", F4, (0, 2**32))], None, b"\x0c\2\0\2" + bytes(8) + b"\0\0\0\0\1\0\0\0" + bytes(4)),
        ([SCALAR, TensorSpec("b", F4, ())], None, b"\x0c\0\0\1" + bytes(4) + b"\x0c\0\1\0b" + bytes(3)),
        ([], {"a": 1}, bytes(8) + b'{"a":1}\0'),
        ([], {}, bytes(8) + b"{}" + bytes(6)),
        ([SCALAR], {"a": 1}, b"\x0c\0\0\0" + bytes(4) + b'{"a":1}\0'),
    ],
)
def test_bytes_of_the_spec(specs: list[TensorSpec], headers: dict[str, Any] | None, block: bytes) -> None:
    assert write_meta(specs, headers) == block
    assert parse_meta(block) == Meta(tuple(specs), headers, payload_layout(specs)[1])


def test_one_unnamed_tensor_is_remembered() -> None:
    assert write_tensor_meta(F4, (7, 7)) is write_meta([TensorSpec("", F4, (7, 7))], None)
    block = bytearray(write_tensor_meta(F4, (7, 7)))
    meta = parse_meta(block)
    block[4] = 8
    assert meta.specs[0].shape == (7, 7)
    assert parse_meta(block).specs[0].shape == (8, 7)


def test_headers_are_never_shared() -> None:
    block = write_meta([SCALAR], {"step": 1})
    first = parse_meta(block).headers
    assert first is not None
    first["step"] = 2
    assert parse_meta(block).headers == {"step": 1}
    assert parse_meta(block[:8]).headers is None


def test_more_blocks_than_are_remembered() -> None:
    for size in range(2000):
        assert parse_meta(write_meta([TensorSpec("x", F4, (size,))])).payload_bytes == 4 * size


def test_numpy_numbers_in_headers() -> None:
    assert parse_meta(write_meta([], {"loss": np.float32(0.5), "step": np.int64(3)})).headers == {
        "loss": 0.5,
        "step": 3,
    }


@pytest.mark.parametrize(
    ("specs", "headers", "problem"),
    [
        ([SCALAR, SCALAR], None, "different names"),
        ([TensorSpec(str(n), F4, ()) for n in range(MAX_TENSORS + 1)], None, "256 tensors"),
        ([TensorSpec("", F4, (1,) * 33)], None, "33 dimensions"),
        ([TensorSpec("é" * 128, F4, ())], None, "256 bytes"),
        ([TensorSpec("\ud800", F4, ())], None, "Unicode"),
        ([], {"a": object()}, "JSON"),
        ([], {1: 2}, "JSON"),
        ([], {"a": "x" * MAX_HEADERS_BYTES}, "headers of 65544 bytes"),
        ([], [1], "must be a mapping"),
    ],
)
def test_what_cannot_be_written(specs: list[TensorSpec], headers: Any, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        write_meta(specs, headers)


def test_a_dtype_that_cannot_be_written() -> None:
    with pytest.raises(UnsupportedDtype, match="object"):
        write_meta([TensorSpec("", np.dtype(object), ())], None)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (b"\x0c", "byte 0 is cut off"),
        (b"\x0c\1\0\0", "ends at byte 8, its block at 4"),
        (b"\x0c\0\xff\0" + bytes(4), "ends at byte 264, its block at 8"),
        (b"\x0c\0\0\1" + bytes(4), "byte 8 is cut off"),
        (b"\x10\0\0\0" + bytes(4), "dtype code 16"),
        (b"\x0c\x21\0\0" + bytes(4 * 33), "33 dimensions"),
        (b"\x0c\0\2\0\xff\xff" + bytes(2), "UTF-8"),
        (b"\0\0\0\1" + bytes(4) + b"\x0c\0\0\0" + bytes(4), "dtype 0"),
        (b"\x0c\0\0\1" + bytes(4) + b"\0\0\0\0" + bytes(4), "dtype 0"),
        (b"\0\1\0\0" + bytes(4), "dtype 0"),
        (b"\0\0\1\0" + bytes(4), "dtype 0"),
        ((b"\x0c\0\0\1" + bytes(4)) * 256, "more than 255 tensors"),
        (b"\x0c\0\1\1a" + bytes(3) + b"\x0c\0\1\0a" + bytes(3), "same name"),
        (b"\x0c\2\0\2" + struct.pack("<QQ", 2**32, 2**32) + bytes(4), "no array can have shape"),
        (b"\x0c\2\0\2" + struct.pack("<QQ", 0, 2**63) + bytes(4), "no array can have shape"),
        (b"\x0c\x20\0\2" + bytes([255]) * 256 + bytes(4), "no array can have shape"),
    ],
)
def test_broken_descriptors(block: bytes, problem: str) -> None:
    refusal = refusal_of(block)
    assert problem in refusal.message
    assert refusal.code == Code.INVALID_TENSOR


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"{", "not JSON"),
        (b'{"a":1}x', "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", "not JSON"),
        (b"[1]", "JSON list"),
        (b"null", "JSON NoneType"),
        (orjson.dumps({"a": "x" * MAX_HEADERS_BYTES}), "headers of 65544 bytes"),
    ],
)
def test_broken_headers(text: bytes, problem: str) -> None:
    refusal = refusal_of(write_meta([SCALAR]) + text + bytes(-len(text) % 8))
    assert problem in refusal.message
    assert refusal.code == Code.INVALID_REQUEST


def test_a_large_meta_block() -> None:
    specs = [TensorSpec(f"{n:0255}", F4, (0,) * 32) for n in range(MAX_TENSORS)]
    headers = {"a": "x" * (MAX_HEADERS_BYTES - 8)}
    block = write_meta(specs, headers)
    assert len(block) // 8 < 2**16
    assert parse_meta(block) == Meta(tuple(specs), headers, 0)


DESCRIPTORS = st.lists(
    st.tuples(st.integers(0, 17), st.integers(0, 34), st.integers(0, 6), st.integers(0, 3), st.binary(max_size=300)),
    min_size=1,
    max_size=4,
).map(lambda parts: b"".join([struct.pack("<4B", *part[:4]) + part[4] + bytes(-len(part[4]) % 4) for part in parts]))


@given(block=st.one_of(st.binary(max_size=200), DESCRIPTORS))
def test_random_bytes_only_give_documented_errors(block: bytes) -> None:
    meta = parsed_or_code(block)
    if not isinstance(meta, Meta):
        assert meta in {Code.INVALID_TENSOR, Code.INVALID_REQUEST}
        return
    assert parse_meta(write_meta(meta.specs, meta.headers)) == meta
    if meta.payload_bytes < 2**16:
        views = view_tensors(meta.specs, bytes(meta.payload_bytes))
        assert tuple(view.shape for view in views) == tuple(spec.shape for spec in meta.specs)
