"""Invariant: every dtype of spec section 11 has its code and name; every other is refused by name, with the way out."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gateway.errors import Code, RequestRefused, UnsupportedDtype
from gateway.protocol.dtypes import DTYPES, code_of, common_element, dtype_name, dtype_named, dtype_of, is_supported

TABLE: dict[int, tuple[str, int]] = {
    1: ("bool", 1),
    2: ("int8", 1),
    3: ("int16", 2),
    4: ("int32", 4),
    5: ("int64", 8),
    6: ("uint8", 1),
    7: ("uint16", 2),
    8: ("uint32", 4),
    9: ("uint64", 8),
    10: ("float16", 2),
    11: ("bfloat16", 2),
    12: ("float32", 4),
    13: ("float64", 8),
    14: ("complex64", 8),
    15: ("complex128", 16),
}
"""Spec section 11, word for word."""

REFUSED: list[tuple[np.dtype[Any], str, str]] = [
    (np.dtype(object), "object", "numeric"),
    (np.dtype([("a", "i4"), ("b", "f8")]), "[('a', '<i4'), ('b', '<f8')]", "each field"),
    (np.dtype("U3"), "<U3", "headers"),
    (np.dtype("S3"), "|S3", "headers"),
    (np.dtypes.StringDType(), "StringDType()", "headers"),
    (np.dtype("datetime64[s]"), "datetime64[s]", "int64"),
    (np.dtype("timedelta64[ms]"), "timedelta64[ms]", "int64"),
    (np.dtype("V5"), "|V5", "view('uint8')"),
    (np.dtype(ml_dtypes.float8_e4m3fn), "float8_e4m3fn", "float16"),
    (np.dtype(">f4"), ">f4", "astype('<f4')"),
]


@pytest.mark.parametrize(("code", "name", "itemsize"), [(code, *row) for code, row in TABLE.items()])
def test_the_table_of_the_spec(code: int, name: str, itemsize: int) -> None:
    dtype = dtype_of(code)
    assert (code_of(dtype), dtype_name(dtype), dtype.itemsize) == (code, name, itemsize)
    assert dtype_named(name) is dtype
    assert is_supported(dtype)


def test_the_table_is_complete() -> None:
    assert [code_of(dtype) for dtype in DTYPES] == list(TABLE)


@pytest.mark.parametrize("code", [0, 16, 255, -1])
def test_unknown_code(code: int) -> None:
    with pytest.raises(RequestRefused, match=f"dtype code {code}") as caught:
        dtype_of(code)
    assert caught.value.code == Code.INVALID_TENSOR


@pytest.mark.parametrize("name", ["", "float", "float128", "object", "<f4"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(RequestRefused, match="unknown dtype") as caught:
        dtype_named(name)
    assert caught.value.code == Code.INVALID_TENSOR


@pytest.mark.parametrize(("dtype", "name", "way_out"), REFUSED)
def test_a_refusal_names_the_dtype_and_the_way_out(dtype: np.dtype[Any], name: str, way_out: str) -> None:
    assert not is_supported(dtype)
    for question in (code_of, dtype_name):
        with pytest.raises(UnsupportedDtype) as caught:
            question(dtype)
        assert f"dtype {name} " in str(caught.value)
        assert way_out in str(caught.value)


@pytest.mark.parametrize(("wide", "narrow"), [(np.longdouble, "float64"), (np.clongdouble, "complex128")])
@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="no extended precision on this machine")
def test_extended_precision_is_refused(wide: type[Any], narrow: str) -> None:
    with pytest.raises(UnsupportedDtype, match=narrow):
        code_of(np.dtype(wide))


@pytest.mark.parametrize(("alias", "code"), [(np.longlong, 5), (np.ulonglong, 9), (np.intc, 4), ("=f4", 12)])
def test_other_spellings_of_a_dtype_have_its_code(alias: Any, code: int) -> None:
    assert code_of(np.dtype(alias)) == code


@pytest.mark.parametrize(
    ("names", "common"),
    [
        ([], "uint8"),
        (["bfloat16"], "bfloat16"),
        (["float32", "float32"], "float32"),
        (["float32", "int32"], "uint32"),
        (["complex64", "int64"], "uint64"),
        (["float32", "int64"], "uint8"),
        (["complex128", "complex128"], "complex128"),
    ],
)
def test_the_common_element_of_several_tensors(names: list[str], common: str) -> None:
    assert common_element([dtype_named(name) for name in names]) == dtype_named(common)
