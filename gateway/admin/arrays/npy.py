"""Headers of ``.npy`` files (numpy.lib.format, versions 1 to 3), without I/O; no executable content is deserialized.

``.npy`` has no name for bfloat16: such an array has the descr ``<V2``, as ``np.save`` writes it.
``np.load(path).view(ml_dtypes.bfloat16)`` reads it.
"""

from __future__ import annotations

import ast
import io
import re
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.lib import format as numpy_format

from gateway.errors import Code, RequestRefused
from gateway.protocol.dtypes import DTYPES, dtype_name
from gateway.protocol.tensors import TensorSpec

MAX_HEADER_BYTES: Final = 10_000
"""Same bound as in numpy: to parse Python is safe, but not cheap."""

_MAX_DIMENSION: Final = int(np.iinfo(np.int64).max)
_MAGIC_BYTES: Final = numpy_format.MAGIC_LEN
_LENGTHS: Final = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}
"""Field with the length of the header, by major version."""
_ENCODINGS: Final = {1: "latin-1", 2: "latin-1", 3: "utf-8"}
_MAX_SHOWN: Final = 200
"""Characters of a wrong value that an error repeats."""
_WARNED_ABOUT: Final = re.compile(r"\\|(?<![\w.])(?:[^\W\d]|\.)*\d[\w.]*?(?:and|else|for|i[fns]|not|or)")
"""Parts of Python that no header has, and about which its parser warns, on stderr, at each upload."""
_DESCR: Final = re.compile(r"([<>|=]?)(\w+)")


def _descr_of(dtype: np.dtype[Any]) -> str:
    return "<V2" if dtype_name(dtype) == "bfloat16" else dtype.str


_BY_DESCR: Final = {_descr_of(dtype)[1:]: dtype for dtype in DTYPES}
"""dtypes by their descr without the byte order."""


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """Header of a ``.npy`` file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    data_at: int
    """Position in the file at which the elements start."""

    @property
    def spec(self) -> TensorSpec:
        """Descriptor of the array as a tensor without a name."""
        return TensorSpec("", self.dtype, self.shape)


def write_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the header of a file that holds a C-order array of a dtype of the protocol."""
    out = io.BytesIO()
    fields = {"descr": _descr_of(dtype), "fortran_order": False, "shape": shape}
    numpy_format.write_array_header_1_0(out, fields)
    return out.getvalue()


def parse_header(start: bytes | bytearray) -> NpyHeader | None:
    """Return the header of a file, or ``None`` while ``start`` does not hold all of it.

    Args:
        start: the first bytes of the file, as many as have come.

    Raises:
        RequestRefused: ``INVALID_REQUEST``: the file is no ``.npy`` file; ``INVALID_TENSOR``: its array cannot be
            published in this layout or dtype, and the message says how to save it instead.
    """
    magic = bytes(start[:_MAGIC_BYTES])
    if magic[: len(numpy_format.MAGIC_PREFIX)] != numpy_format.MAGIC_PREFIX[: len(magic)]:
        raise _no_npy(f"it starts with {magic!r}")
    if len(magic) < _MAGIC_BYTES:
        return None
    major = magic[-2]
    length = _LENGTHS.get(major)
    if length is None:
        raise _no_npy(f"version {major}.{magic[-1]} is unknown")
    text_at = _MAGIC_BYTES + length.size
    if len(start) < text_at:
        return None
    (text_bytes,) = length.unpack_from(start, _MAGIC_BYTES)
    if text_bytes > MAX_HEADER_BYTES:
        raise _no_npy(f"its header of {text_bytes} bytes exceeds {MAX_HEADER_BYTES}")
    data_at = text_at + text_bytes
    if len(start) < data_at:
        return None
    return _parse_fields(bytes(start[text_at:data_at]), _ENCODINGS[major], data_at)


def _parse_fields(text: bytes, encoding: str, data_at: int) -> NpyHeader:
    try:
        source = text.decode(encoding).strip()
        if (found := _WARNED_ABOUT.search(source)) is not None:
            raise ValueError(f"no header has {_shown(found[0])}")
        fields = _value_of(ast.parse(source, mode="eval").body)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise _no_npy(f"its header cannot be read: {str(error)[:_MAX_SHOWN]}") from None
    match fields:
        case {"descr": descr, "fortran_order": bool(is_fortran), "shape": tuple(shape), **rest} if not rest:
            pass
        case _:
            raise _no_npy("its header is not of the form {'descr': …, 'fortran_order': …, 'shape': …}")
    if not all(type(dimension) is int and 0 <= dimension <= _MAX_DIMENSION for dimension in shape):
        raise _no_npy(f"its shape {_shown(shape)} is not a tuple of sizes")
    dtype = _dtype_of(descr)
    if TensorSpec("", dtype, shape).nbytes > _MAX_DIMENSION:
        raise _refused(f"the array of shape {_shown(shape)} is larger than any that can be sent: check its header")
    if is_fortran and sum(dimension > 1 for dimension in shape) > 1 and 0 not in shape:
        raise _refused("the array is in Fortran order: save it with np.save(path, np.ascontiguousarray(array))")
    return NpyHeader(dtype, shape, data_at)


def _value_of(node: ast.expr | None) -> Any:
    """Return the value of a literal, as ``ast.literal_eval`` does, which leaves a cycle of functions at each call.

    Raises:
        ValueError: it is no literal of those that a header consists of.
    """
    match node:
        case ast.Constant(value):
            return value
        case ast.Tuple(elements):
            return tuple([_value_of(element) for element in elements])
        case ast.List(elements):
            return [_value_of(element) for element in elements]
        case ast.Dict(keys, values):
            # The key of `**other` is None, which is no literal.
            return {_value_of(key): _value_of(value) for key, value in zip(keys, values, strict=True)}
        case ast.UnaryOp(ast.UAdd() | ast.USub() as sign, ast.Constant(int() | float() as value)) if not isinstance(
            value, bool
        ):
            return value if isinstance(sign, ast.UAdd) else -value
        case _:
            raise ValueError(f"{type(node).__name__} is no literal")


def _dtype_of(descr: object) -> np.dtype[Any]:
    if isinstance(descr, list):
        raise _refused("structured arrays cannot be sent: save each field on its own and publish it to its own stream")
    match = _DESCR.fullmatch(descr) if isinstance(descr, str) else None
    dtype = None if match is None else _BY_DESCR.get(match[2])
    if match is None or dtype is None:
        known = ", ".join(map(dtype_name, DTYPES))
        raise _refused(f"arrays of dtype {_shown(descr)} cannot be sent: save the array as one of {known}")
    if match[1] == ">" and dtype.itemsize > 1:
        raise _refused(f"the array is big-endian: save it with np.save(path, array.astype({_descr_of(dtype)!r}))")
    return dtype


def _shown(value: object) -> str:
    """Return a value of the header for an error; Python does not write every value that it reads."""
    try:
        text = repr(value)
    except (ValueError, RecursionError, MemoryError):  # an integer of more than 4,300 digits, deep nesting
        return f"that cannot be written ({type(value).__name__})"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _no_npy(problem: str) -> RequestRefused:
    return RequestRefused(Code.INVALID_REQUEST, f"the body is not a .npy file: {problem}")


def _refused(problem: str) -> RequestRefused:
    return RequestRefused(Code.INVALID_TENSOR, problem)
