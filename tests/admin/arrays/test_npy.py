"""npy: what np.save writes is understood, what cannot be sent is refused with a way out, and nothing is executed."""

from __future__ import annotations

import io
import pickle
import re
import struct
import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as numpy_format

from gateway.admin.arrays.npy import MAX_HEADER_BYTES, parse_header, write_header
from gateway.errors import Code, RequestRefused
from gateway.protocol.dtypes import DTYPES
from tests.admin.files import loaded, saved

MAGIC = b"\x93NUMPY"


def file_of(header: str, *, version: int = 1) -> bytes:
    text = header.encode()
    length = struct.pack("<H", min(len(text), 0xFFFF)) if version == 1 else struct.pack("<I", len(text))
    return MAGIC + bytes((version, 0)) + length + text


def refusal_of(data: bytes) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        parse_header(data)
    return caught.value


def code_of(data: bytes) -> int | None:
    try:
        parse_header(data)
    except RequestRefused as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)], ids=str)
def test_what_numpy_writes_is_read(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, dtype)
    data = saved(array)
    header = parse_header(data)
    assert header is not None
    assert (header.dtype, header.shape) == (array.dtype, shape)
    assert len(data) - header.data_at == array.nbytes == header.spec.nbytes


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_written_numpy_reads(dtype: np.dtype[Any]) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    read = loaded(write_header(dtype, (2, 3)) + array.tobytes())
    if dtype == ml_dtypes.bfloat16:
        read = read.view(ml_dtypes.bfloat16)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, array)


def test_bfloat16_is_what_numpy_makes_of_it() -> None:
    array = np.arange(4).astype(ml_dtypes.bfloat16)
    assert write_header(array.dtype, array.shape) + array.tobytes() == saved(array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version(version: tuple[int, int]) -> None:
    out = io.BytesIO()
    array = np.arange(3, dtype="<f4")
    numpy_format.write_array(out, array, version)
    header = parse_header(out.getvalue())
    assert header is not None
    assert (header.dtype, header.shape) == (array.dtype, (3,))


@given(cut=st.integers(0, 127))
def test_more_is_asked_for_until_the_header_is_whole(cut: int) -> None:
    data = saved(np.zeros(3))
    assert parse_header(data[:cut]) is None
    assert parse_header(bytearray(data[:128])) is not None


@pytest.mark.parametrize(
    ("array", "way_out"),
    [
        (np.asfortranarray(np.zeros((2, 3))), "np.ascontiguousarray"),
        (np.zeros(3, ">f4"), r"astype\('<f4'\)"),
        (np.zeros(3, ">c16"), r"astype\('<c16'\)"),
        (np.zeros(3, [("a", "f4")]), "each field on its own"),
        (np.zeros(3, "M8[s]"), "save the array as one of bool, int8"),
        (np.zeros(3, "U5"), "save the array as one of"),
        (np.zeros(3, np.longdouble), "float64"),
        (np.zeros(3, "V3"), "save the array as one of"),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, np.ndarray) else "",
)
def test_what_cannot_be_sent_as_it_is(array: np.ndarray[Any, Any], way_out: str) -> None:
    refusal = refusal_of(saved(array))
    assert refusal.code == Code.INVALID_TENSOR
    assert re.search(way_out, refusal.message)


def test_objects_are_refused_and_never_loaded() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("it was deserialized",))

    header = file_of("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }")
    assert refusal_of(header + pickle.dumps(Bomb())).code == Code.INVALID_TENSOR


@pytest.mark.parametrize("shape", [(3,), (1, 3), (3, 1), (0, 3), ()], ids=str)
def test_fortran_order_that_makes_no_difference_is_taken(shape: tuple[int, ...]) -> None:
    assert parse_header(file_of(f"{{'descr': '<f4', 'fortran_order': True, 'shape': {shape}, }}")) is not None


@pytest.mark.parametrize("descr", ["|u1", "<u1", ">u1", "=u1", "u1"])
def test_bytes_have_no_order(descr: str) -> None:
    header = parse_header(file_of(f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': (3,), }}"))
    assert header is not None
    assert header.dtype == np.uint8


def test_a_size_may_have_a_sign() -> None:
    header = parse_header(file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (+3,)}"))
    assert header is not None
    assert header.shape == (3,)


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04 an .npz is a zip file",
        b"x",
        MAGIC + b"\x04\x00" + bytes(100),
        MAGIC + b"\x02\x00" + struct.pack("<I", MAX_HEADER_BYTES + 1),
        file_of(""),
        file_of("[]"),
        file_of("{'descr': '<f4'}"),
        file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}"),
        file_of("{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}"),
        file_of("{'descr': '<f4', 'fortran_order': False, 'shape': [3]}"),
        file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}"),
        file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}"),
        file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}"),
        file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3.0,)}"),
        file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), **{}}"),
        file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (-True,)}"),
        file_of("{[]: 1}"),
        file_of("__import__('os').abort()"),
        file_of("(" * 5000),
        file_of("-" * 9000 + "1"),
        file_of("9" * 9000),
        file_of("'\\d'\0"),
        MAGIC + b"\x03\x00" + struct.pack("<I", 2) + b"\xff\xff",
    ],
    ids=range(23),
)
def test_what_is_no_npy_file(data: bytes) -> None:
    refusal = refusal_of(data)
    assert refusal.code == Code.INVALID_REQUEST
    assert refusal.message.startswith("the body is not a .npy file: ")


@pytest.mark.parametrize("word", ["and", "else", "for", "if", "in", "is", "not", "or"])
@pytest.mark.parametrize("number", ["1", "0xf", "0xDE", "0b1", "0o7", "1.", "1.5", "1e5", "1j", "1_0J"])
def test_no_upload_writes_a_warning_of_the_parser_to_stderr(number: str, word: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for header in (f"{number}{word} 2", f"({number}{word}2, '\\d')", f"{{'descr': '\\d{number}'}}"):
            assert code_of(file_of(header)) == Code.INVALID_REQUEST
    assert [str(each.message) for each in caught] == []


@given(st.binary(max_size=200))
def test_random_headers_only_give_documented_errors(text: bytes) -> None:
    data = MAGIC + b"\x01\x00" + struct.pack("<H", len(text)) + text
    assert code_of(data) in (None, Code.INVALID_REQUEST, Code.INVALID_TENSOR)


@given(
    st.dictionaries(
        st.sampled_from(["descr", "fortran_order", "shape", "x"]),
        st.one_of(
            st.text(max_size=5),
            st.booleans(),
            st.lists(st.integers(), max_size=3).map(tuple),
            st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=2),
            st.none(),
        ),
    )
)
def test_random_fields_only_give_documented_errors(fields: dict[str, object]) -> None:
    data = file_of(repr(fields), version=3)
    assert code_of(data) in (None, Code.INVALID_REQUEST, Code.INVALID_TENSOR)


NUMBERS = st.one_of(
    st.integers(-(1 << 70), 1 << 70),
    st.integers(1, 9000).map(lambda digits: f"0x{'f' * digits}"),
    st.integers(1, 5000).map(lambda digits: "9" * digits),
    st.sampled_from(["1e999", "-1", "1j", "True", "None", "...", "0x" + "f" * 5000, "1_0", "٣", "1" + "0" * 18]),
).map(str)
TEXTS = st.one_of(
    st.text().map(repr),
    st.sampled_from([*(repr(f"{order}{kind}") for order in "<>|=" for kind in ("f4", "O", "V8", "i8", "b1", "m8[s]"))]),
    st.tuples(st.sampled_from("([{-'\"b"), st.integers(1, 2500)).map(lambda drawn: drawn[0] * drawn[1]),
    NUMBERS,
)
SHAPES = st.one_of(st.lists(NUMBERS, max_size=40).map(lambda sizes: f"({','.join(sizes)},)"), TEXTS)


@given(descr=TEXTS, is_fortran=st.one_of(st.just("False"), TEXTS), shape=SHAPES, version=st.integers(1, 4))
def test_fields_that_python_reads_only_give_documented_errors(
    descr: str, is_fortran: str, shape: str, version: int
) -> None:
    data = file_of(f"{{'descr': {descr}, 'fortran_order': {is_fortran}, 'shape': {shape}}}", version=version)
    assert code_of(data) in (None, Code.INVALID_REQUEST, Code.INVALID_TENSOR)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (f"{{'descr': 0x{'f' * 5000}, 'fortran_order': False, 'shape': (3,)}}", Code.INVALID_TENSOR),
        (f"{{'descr': '<f4', 'fortran_order': False, 'shape': (0x{'f' * 5000},)}}", Code.INVALID_REQUEST),
        (f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({f'{1 << 62},' * 400})}}", Code.INVALID_TENSOR),
        (f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({1 << 62}, 3)}}", Code.INVALID_TENSOR),
        (f"{{'descr': {'(' * 90}{')' * 90}, 'fortran_order': False, 'shape': (3,)}}", Code.INVALID_TENSOR),
    ],
    ids=["descr", "size", "product of many", "product", "depth"],
)
def test_values_that_python_reads_and_does_not_write(header: str, code: Code) -> None:
    refusal = refusal_of(file_of(header))
    assert refusal.code == code
    assert len(refusal.message) < 500
