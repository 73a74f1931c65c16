"""Dtypes that travel, with their wire codes and names (spec section 11).

All dtypes are little-endian, as on the wire. bfloat16 is the numpy dtype of the ``ml_dtypes`` package.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import ml_dtypes
import numpy as np

from gateway.errors import Code, RequestRefused, UnsupportedDtype

DTypeLike = np.dtype[Any]

_NAMES: Final = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
"""Dtype names in the order of the codes, which start at 1."""


def _little_endian(name: str) -> DTypeLike:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name).newbyteorder("<")


DTYPES: Final[tuple[DTypeLike, ...]] = tuple(_little_endian(name) for name in _NAMES)
"""Every dtype that can travel, in the order of the codes."""

BYTE: Final = np.dtype(np.uint8)
"""Dtype of data that is nothing but bytes."""

_BY_CODE: Final = dict(enumerate(DTYPES, start=1))
# numpy hashes and compares dtypes by meaning: `long` and `long long` find the same entry, big-endian ones none.
_CODES: Final = {dtype: code for code, dtype in _BY_CODE.items()}
_MAX_UNSIGNED_BYTES: Final = 8
_BY_NAME: Final = dict(zip(_NAMES, DTYPES, strict=True))
_NAME_OF: Final = dict(zip(DTYPES, _NAMES, strict=True))


def dtype_of(code: int) -> DTypeLike:
    """Return the dtype of a wire code.

    Raises:
        RequestRefused: ``INVALID_TENSOR``, the code is not in the table of spec section 11.
    """
    try:
        return _BY_CODE[code]
    except KeyError:
        raise RequestRefused(Code.INVALID_TENSOR, f"unknown dtype code {code}; known are 1 to {len(DTYPES)}") from None


def dtype_named(name: str) -> DTypeLike:
    """Return the dtype of a name in spec section 11.

    Raises:
        RequestRefused: ``INVALID_TENSOR``, no dtype that travels has this name.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise RequestRefused(Code.INVALID_TENSOR, f"unknown dtype {name!r}; known are {', '.join(_NAMES)}") from None


def common_element(dtypes: Collection[DTypeLike]) -> DTypeLike:
    """Return the dtype of the elements of a payload that holds tensors of these dtypes, as codecs see it.

    Tensors of several dtypes of one size are unsigned integers of that size, all others bytes.
    """
    distinct = set(dtypes)
    if len(distinct) == 1:
        return distinct.pop()
    sizes = {dtype.itemsize for dtype in distinct}
    size = sizes.pop() if len(sizes) == 1 else BYTE.itemsize
    return np.dtype(f"<u{size}") if size <= _MAX_UNSIGNED_BYTES else BYTE


def is_supported(dtype: DTypeLike) -> bool:
    """Return whether arrays of this dtype, byte order included, can travel as they are."""
    return dtype in _CODES


def code_of(dtype: DTypeLike) -> int:
    """Return the wire code of a little-endian dtype.

    Raises:
        UnsupportedDtype: the dtype cannot travel; the message says to which dtype to convert.
    """
    code = _CODES.get(dtype)
    if code is None:
        raise unsupported(dtype)
    return code


def dtype_name(dtype: DTypeLike) -> str:
    """Return the name of a little-endian dtype in spec section 11.

    Raises:
        UnsupportedDtype: the dtype cannot travel; the message says to which dtype to convert.
    """
    name = _NAME_OF.get(dtype)
    if name is None:
        raise unsupported(dtype)
    return name


def unsupported(dtype: DTypeLike) -> UnsupportedDtype:
    """Return the error for a dtype that cannot travel, with the conversion that helps."""
    return UnsupportedDtype(f"arrays of dtype {dtype} cannot be sent: {way_out(dtype)}")


def way_out(dtype: DTypeLike) -> str:
    """Return the conversion that helps with a dtype that cannot travel."""
    if not dtype.isnative and dtype.newbyteorder("<") in _CODES:
        return f"convert to little-endian with .astype({dtype.newbyteorder('<').str!r})"
    if dtype.names is not None:
        return "send each field as a tensor of its own, under its name"
    if dtype.kind in "mM":
        return "convert to int64 with .astype('int64') and put the unit into the headers"
    if dtype.kind in "USaT":
        return "put text into the headers, or send its bytes as uint8 with np.frombuffer(data, np.uint8)"
    if dtype.kind == "O":
        return "convert to a numeric dtype, e.g. .astype('float64')"
    if dtype.kind == "f":
        return "convert to float64 with .astype('float64')"
    if dtype.kind == "c":
        return "convert to complex128 with .astype('complex128')"
    if dtype.itemsize == 1:
        return "convert to float16 or int8, or send its bytes with .view('uint8')"
    return "send its bytes with .view('uint8')"
