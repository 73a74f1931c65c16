"""Meta block of a data frame: tensor descriptors and headers (spec section 5.1).

Every message passes here. Descriptors repeat from message to message, so two bounded caches keep them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.arguments import check_mapping, shown
from gateway.protocol.dtypes import BYTE, DTypeLike, code_of, dtype_of
from gateway.protocol.tensors import TensorSpec, payload_layout
from gateway.protocol.wire import (
    DESCRIPTOR,
    DESCRIPTOR_MORE,
    DESCRIPTOR_WIDE,
    MAX_HEADERS_BYTES,
    MAX_NAME_BYTES,
    MAX_NDIM,
    MAX_TENSORS,
    NO_TENSOR,
    PADDING,
    Buffer,
    padded,
)

_NARROW: Final = tuple(struct.Struct(f"<{ndim}I") for ndim in range(MAX_NDIM + 1))
_WIDE: Final = tuple(struct.Struct(f"<{ndim}Q") for ndim in range(MAX_NDIM + 1))
_NARROW_LIMIT: Final = 1 << 32
_ARRAY_BYTES_LIMIT: Final = int(np.iinfo(np.intp).max)

_CACHED_BYTES: Final = 256
_CACHED_BLOCKS: Final = 512


@dataclass(frozen=True, slots=True)
class Meta:
    """Contents of a meta block."""

    specs: tuple[TensorSpec, ...]
    """Specs of the tensors, in the order in which the payload holds them."""
    headers: dict[str, Any] | None
    """Headers of the message, or None."""
    payload_bytes: int
    """Decoded size, by the descriptors, of the payload of a message or of one record of a batch."""

    @property
    def element(self) -> DTypeLike:
        """Dtype of the elements that codecs assume for the payload: that of its first tensor."""
        return self.specs[0].dtype if self.specs else BYTE


_EMPTY: Final = Meta((), None, 0)
_NO_TENSOR_BLOCK: Final = DESCRIPTOR.pack(NO_TENSOR, 0, 0, 0) + PADDING[4]

# Descriptor blocks that were parsed before: _CACHED_BLOCKS blocks of _CACHED_BYTES at most, whatever peers send. A
# plain dict instead of lru_cache, because blocks with headers look without leaving an entry of their own.
_parsed: dict[bytes, Meta] = {}


def write_meta(specs: Sequence[TensorSpec], headers: Mapping[str, Any] | None = None) -> bytes:
    """Return the meta block of a message: a multiple of 8 bytes, empty for neither tensors nor headers.

    Args:
        specs: specs of the tensors, at most 255, with different names.
        headers: JSON values and numpy numbers; NaN becomes null, as in all JSON.

    Raises:
        UnsupportedDtype: a dtype cannot travel.
        InvalidArgument: names or headers that cannot travel, or too many tensors or dimensions.
    """
    if headers is None:
        if not specs:
            return b""
        if len(specs) == 1 and not specs[0].name:
            return write_tensor_meta(specs[0].dtype, specs[0].shape)
        return _write_descriptors(specs)
    return (_write_descriptors(specs) if specs else _NO_TENSOR_BLOCK) + _write_headers(headers)


@lru_cache(maxsize=1024)
def write_tensor_meta(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the meta block of one unnamed tensor without headers; cached, because it is the most common one.

    Raises:
        UnsupportedDtype: the dtype cannot travel.
        InvalidArgument: too many dimensions.
    """
    return _write_descriptor("", dtype, shape, flags=0)


def _write_descriptors(specs: Sequence[TensorSpec]) -> bytes:
    if len(specs) > MAX_TENSORS:
        raise InvalidArgument(
            f"{len(specs)} tensors in one message; at most {MAX_TENSORS} are allowed: send several messages"
        )
    if len({spec.name for spec in specs}) != len(specs):
        raise InvalidArgument(f"tensors of one message need different names; given are {[spec.name for spec in specs]}")
    last = len(specs) - 1
    return b"".join(
        [
            _write_descriptor(spec.name, spec.dtype, spec.shape, flags=DESCRIPTOR_MORE if index < last else 0)
            for index, spec in enumerate(specs)
        ]
    )


def _write_descriptor(name: str, dtype: np.dtype[Any], shape: tuple[int, ...], *, flags: int) -> bytes:
    ndim = len(shape)
    if ndim > MAX_NDIM:
        raise InvalidArgument(f"tensor {name[:40]!r} has {ndim} dimensions; at most {MAX_NDIM} can be sent")
    try:
        name_utf8 = name.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"tensor name {name!r} is not valid Unicode: {error.reason}") from None
    if len(name_utf8) > MAX_NAME_BYTES:
        raise InvalidArgument(f"tensor name {name[:40]!r}... has {len(name_utf8)} bytes; at most {MAX_NAME_BYTES} fit")
    wide = any(dimension >= _NARROW_LIMIT for dimension in shape)
    start = DESCRIPTOR.pack(code_of(dtype), ndim, len(name_utf8), flags | (DESCRIPTOR_WIDE if wide else 0))
    dimensions = (_WIDE if wide else _NARROW)[ndim].pack(*shape)
    return start + dimensions + name_utf8 + PADDING[-(len(start) + len(dimensions) + len(name_utf8)) % 8]


def _culprit(headers: Mapping[str, Any]) -> str:
    """Return the header that cannot be written, as the beginning of an error; nothing if each one can."""
    for name, value in headers.items():
        try:
            orjson.dumps({name: value}, option=orjson.OPT_SERIALIZE_NUMPY)
        except (orjson.JSONEncodeError, TypeError):
            return f"{shown(name)}: {shown(value)}: "
    return ""


def _write_headers(headers: Mapping[str, Any]) -> bytes:
    fields = check_mapping("headers", headers, "they must be a mapping of names to JSON values")
    for name, value in fields.items():
        # Its text would be many times its size, and at least two characters for each element or empty list.
        if type(value) is np.ndarray and 2 * math.prod(size or 1 for size in value.shape) > MAX_HEADERS_BYTES:
            raise InvalidArgument(f"headers: {shown(name)} is an array of shape {value.shape}: send it as a tensor")
    try:
        text = orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise InvalidArgument(f"headers cannot be written as JSON: {_culprit(fields)}{error}") from None
    if len(text) > MAX_HEADERS_BYTES:
        raise InvalidArgument(
            f"headers of {len(text)} bytes, {MAX_HEADERS_BYTES} are allowed: send large data as a tensor"
        )
    return text + PADDING[-len(text) % 8]


def with_specs(meta: Buffer, specs: Sequence[TensorSpec]) -> bytes:
    """Return the meta block of a message with other tensors and the same headers, byte for byte.

    Args:
        meta: a valid meta block; not kept.
        specs: specs of the tensors, at most 255, with different names.
    """
    block = bytes(meta)
    headers = block[_descriptors_end(block) :] if block else b""
    if specs:
        return _write_descriptors(specs) + headers
    return _NO_TENSOR_BLOCK + headers if headers else b""


def parse_meta(meta: Buffer) -> Meta:
    """Parse a meta block; the result holds no view of ``meta``.

    A Meta without headers may be shared between calls; headers belong to the caller.

    Raises:
        RequestRefused: ``INVALID_TENSOR``, a broken descriptor; ``INVALID_REQUEST``, broken headers.
    """
    if not meta:
        return _EMPTY
    block = bytes(meta)  # a copy of a few bytes that can be hashed
    known = _parsed.get(block)
    if known is not None:
        return known
    end = _descriptors_end(block)
    parsed = _parse_descriptors(block[:end])
    headers = _parse_headers(block[end:])
    return parsed if headers is None else Meta(parsed.specs, headers, parsed.payload_bytes)


def headers_of(meta: Buffer) -> bytes:
    """Return the headers of a meta block as bytes, with their padding; empty if the block has none.

    Raises:
        RequestRefused: ``INVALID_TENSOR``, a broken descriptor.
    """
    block = bytes(meta)
    return block[_descriptors_end(block) :] if block else block


def _descriptors_end(block: bytes) -> int:
    """Return the end of the chain of descriptors, from their lengths alone; never past the end of the block."""
    end = 0
    for _ in range(MAX_TENSORS):
        if end + DESCRIPTOR.size > len(block):
            raise RequestRefused(Code.INVALID_TENSOR, f"tensor descriptor at byte {end} is cut off")
        _, ndim, name_bytes, flags = DESCRIPTOR.unpack_from(block, end)
        end += padded(DESCRIPTOR.size + ndim * (8 if flags & DESCRIPTOR_WIDE else 4) + name_bytes)
        if end > len(block):
            raise RequestRefused(
                Code.INVALID_TENSOR, f"tensor descriptor ends at byte {end}, its block at {len(block)}"
            )
        if not flags & DESCRIPTOR_MORE:
            return end
    raise RequestRefused(Code.INVALID_TENSOR, f"more than {MAX_TENSORS} tensors in one message")


def _parse_descriptors(block: bytes) -> Meta:
    known = _parsed.get(block)
    if known is not None:
        return known
    specs: list[TensorSpec] = []
    at = 0
    while at < len(block):
        if block[at] == NO_TENSOR:
            if len(block) > len(_NO_TENSOR_BLOCK) or block[:4] != _NO_TENSOR_BLOCK[:4]:
                raise RequestRefused(
                    Code.INVALID_TENSOR,
                    "dtype 0 is allowed in the one, empty descriptor of a message without tensors only",
                )
            break
        spec, at = _parse_descriptor(block, at)
        specs.append(spec)
    if len({spec.name for spec in specs}) != len(specs):
        raise RequestRefused(Code.INVALID_TENSOR, "two tensors of one message have the same name")
    parsed = Meta(tuple(specs), None, payload_layout(specs)[1])
    if len(block) <= _CACHED_BYTES:
        if len(_parsed) >= _CACHED_BLOCKS:
            _parsed.clear()
        _parsed[block] = parsed
    return parsed


def _parse_descriptor(block: bytes, at: int) -> tuple[TensorSpec, int]:
    """Return the descriptor at ``at`` and the start of the next; :func:`_descriptors_end` has checked the lengths."""
    code, ndim, name_bytes, flags = DESCRIPTOR.unpack_from(block, at)
    dtype = dtype_of(code)
    if ndim > MAX_NDIM:
        raise RequestRefused(Code.INVALID_TENSOR, f"tensor with {ndim} dimensions; at most {MAX_NDIM} are allowed")
    dimensions = (_WIDE if flags & DESCRIPTOR_WIDE else _NARROW)[ndim]
    shape = dimensions.unpack_from(block, at + DESCRIPTOR.size)
    # numpy bounds the product of the dimensions other than 0, so that even an empty tensor can be too big.
    if math.prod(dimension for dimension in shape if dimension) * dtype.itemsize > _ARRAY_BYTES_LIMIT:
        raise RequestRefused(Code.INVALID_TENSOR, f"no array can have shape {shape}")
    name_at = at + DESCRIPTOR.size + dimensions.size
    name_end = name_at + name_bytes
    try:
        name = block[name_at:name_end].decode()
    except UnicodeDecodeError as error:
        raise RequestRefused(Code.INVALID_TENSOR, f"tensor name is not UTF-8: {error.reason}") from None
    return TensorSpec(name, dtype, shape), padded(name_end)


def _parse_headers(block: bytes) -> dict[str, Any] | None:
    text = block.rstrip(b"\0")
    if not text:
        return None
    if len(text) > MAX_HEADERS_BYTES:
        raise RequestRefused(Code.INVALID_REQUEST, f"headers of {len(text)} bytes exceed {MAX_HEADERS_BYTES} bytes")
    try:
        headers = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestRefused(Code.INVALID_REQUEST, f"headers are not JSON: {error}") from None
    if not isinstance(headers, dict):
        raise RequestRefused(Code.INVALID_REQUEST, f"headers are a JSON {type(headers).__name__}, not an object")
    return headers
