"""Extension block of a data frame: rare fields beside tensors and headers (spec section 5.3).

Knows the bytes of each field, not its effect. Fields that this version does not know are skipped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.errors import Code, InvalidArgument, ProtocolViolation, RequestRefused
from gateway.protocol.dtypes import DTypeLike, dtype_of
from gateway.protocol.wire import ALIGNMENT, EXTENSION_BLOCK, EXTENSION_FIELD, EXTENT, MAX_NDIM, Buffer

REGION: Final = 1
DEADLINE: Final = 2
IDENTITY: Final = 3
QUANTIZED: Final = 4
RESUMING: Final = 5

_DEADLINE: Final = struct.Struct("<q")
_IDENTITY: Final = struct.Struct("<QQ")
_QUANTIZED: Final = struct.Struct("<dd")
_MAX_UNITS: Final = 0xFFFF


class Extent(NamedTuple):
    """Indices that a region takes of one dimension."""

    start: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    step: int
    """Distance of two indices, at least 1."""


class Identity(NamedTuple):
    """Producer of a message and its sequence there: the same however often the message is delivered."""

    producer: int
    sequence: int


class Quantization(NamedTuple):
    """Relation of the integers of a view to the numbers of its stream: ``x = (q - zero_point) * scale``."""

    dtype_code: int
    """Wire code of the dtype of the stream's tensor (spec section 11)."""
    scale: float
    zero_point: float

    @property
    def dtype(self) -> DTypeLike:
        """The dtype of the stream's tensor.

        Raises:
            RequestRefused: ``INVALID_TENSOR``, no dtype has this code.
        """
        return dtype_of(self.dtype_code)


@dataclass(frozen=True, slots=True)
class Extensions:
    """Fields of one block; an absent field is None."""

    region: tuple[Extent, ...] | None = None
    """Region of the state that the tensor replaces as a patch, an extent for each dimension."""
    deadline_ns: int | None = None
    """Time after which the message is not delivered: Unix time in ns by the server's clock."""
    identity: Identity | None = None
    quantized: Quantization | None = None
    resuming: bool = False
    """True if the large message was begun on an earlier connection."""

    def write(self) -> bytes:
        """Return the block, a multiple of 8 bytes.

        Raises:
            InvalidArgument: a region of too many dimensions.
        """
        fields = b""
        if self.region is not None:
            if len(self.region) > MAX_NDIM:
                raise InvalidArgument(f"the region has {len(self.region)} dimensions; at most {MAX_NDIM} are possible")
            fields += _field(REGION, len(self.region), b"".join([EXTENT.pack(*extent) for extent in self.region]))
        if self.deadline_ns is not None:
            fields += _field(DEADLINE, 0, _DEADLINE.pack(self.deadline_ns))
        if self.identity is not None:
            fields += _field(IDENTITY, 0, _IDENTITY.pack(*self.identity))
        if self.quantized is not None:
            code, scale, zero_point = self.quantized
            fields += _field(QUANTIZED, code, _QUANTIZED.pack(scale, zero_point))
        if self.resuming:
            fields += _field(RESUMING, 0, b"")
        return EXTENSION_BLOCK.pack(1 + len(fields) // ALIGNMENT, 0, 0) + fields


def block_bytes(buffer: Buffer, at: int) -> int:
    """Return the size of the block that starts at ``at``, where at least 8 bytes are (spec section 5.3).

    Raises:
        ProtocolViolation: ``MALFORMED_FRAME``, a block of no units.
    """
    units: int = EXTENSION_BLOCK.unpack_from(buffer, at)[0]
    if not units:
        raise ProtocolViolation(Code.MALFORMED_FRAME, f"extension block of 0 units at offset {at}")
    return units * ALIGNMENT


def parse_extensions(block: Buffer) -> Extensions:
    """Read a complete block.

    Raises:
        RequestRefused: ``INVALID_REQUEST``, a field that does not fit the block or its type.
    """
    view = memoryview(block)
    found: dict[str, object] = {}
    at = EXTENSION_BLOCK.size
    while at < len(view):
        kind, _, units, value = EXTENSION_FIELD.unpack_from(view, at)
        end = at + units * ALIGNMENT
        if not units or end > len(view):
            raise _invalid(f"the field of type {kind} at byte {at} has {units} units, the block {len(view)} bytes")
        data = view[at + EXTENSION_FIELD.size : end]
        if kind == REGION:
            found["region"] = _parse_region(value, data)
        elif kind == DEADLINE:
            (found["deadline_ns"],) = _DEADLINE.unpack(_sized(kind, data, _DEADLINE.size))
        elif kind == IDENTITY:
            found["identity"] = Identity(*_IDENTITY.unpack(_sized(kind, data, _IDENTITY.size)))
        elif kind == QUANTIZED:
            found["quantized"] = Quantization(value, *_QUANTIZED.unpack(_sized(kind, data, _QUANTIZED.size)))
        elif kind == RESUMING:
            found["resuming"] = True
        at = end
    return Extensions(**found)  # type: ignore[arg-type]  # each has the type of its branch


def _parse_region(ndim: int, data: memoryview) -> tuple[Extent, ...]:
    if ndim > MAX_NDIM:
        raise _invalid(f"the region has {ndim} dimensions; at most {MAX_NDIM} are possible")
    extents = tuple([Extent(*extent) for extent in EXTENT.iter_unpack(_sized(REGION, data, ndim * EXTENT.size))])
    for axis, extent in enumerate(extents):
        if not extent.step:
            raise _invalid(f"the region has step 0 in dimension {axis}; a step is at least 1")
    return extents


def _sized(kind: int, data: memoryview, size: int) -> memoryview:
    if len(data) < size:
        raise _invalid(f"the field of type {kind} has {len(data)} bytes, its table {size}")
    return data[:size]


def _field(kind: int, value: int, data: bytes) -> bytes:
    units = 1 + len(data) // ALIGNMENT
    assert units <= _MAX_UNITS
    return EXTENSION_FIELD.pack(kind, 0, units, value) + data


def _invalid(problem: str) -> RequestRefused:
    return RequestRefused(Code.INVALID_REQUEST, f"extension block: {problem}")
