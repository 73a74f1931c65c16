"""Schemas of ``state`` streams: declared names, dtypes and shapes of tensors (spec section 4.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gateway.errors import Code, RequestRefused
from gateway.protocol.dtypes import dtype_name, dtype_named
from gateway.protocol.json_body import JsonBody
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import MAX_NAME_BYTES, MAX_NDIM, MAX_TENSORS

_MAX_SIZE: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class TensorSchema:
    """Declaration of one tensor of a schema."""

    name: str
    """Name of the tensor; empty for the unnamed one."""
    dtype: np.dtype[Any]
    """Dtype that travels, one of :data:`gateway.protocol.dtypes.DTYPES`."""
    shape: tuple[int | None, ...]
    """Dimensions; None for a dimension of any size."""

    def fits(self, spec: TensorSpec) -> bool:
        """Return whether a tensor matches the declaration."""
        return (
            spec.dtype == self.dtype
            and len(spec.shape) == len(self.shape)
            and all(size in (None, met) for size, met in zip(self.shape, spec.shape, strict=True))
        )

    def fields(self) -> dict[str, Any]:
        """Return the declaration as JSON."""
        return {"dtype": dtype_name(self.dtype), "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Schema:
    """Declaration of the tensors in every message of a stream, in any order: schemas of the same tensors are equal."""

    tensors: tuple[TensorSchema, ...]
    """At least one tensor, ordered by name."""

    @classmethod
    def parse(cls, fields: Mapping[str, Any], what: str = "schema") -> Schema:
        """Read ``{"dtype": …, "shape": […]}``, or ``{"tensors": {name: {"dtype": …, "shape": […]}}}``.

        Args:
            fields: the JSON object.
            what: name of the schema in error texts.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, a field that is missing or wrong.
        """
        body = JsonBody(what, dict(fields))
        named = body.mapping_or_none("tensors")
        if named is None:
            return cls((_parse_tensor("", body, fields, what),))
        if not 0 < len(named) <= MAX_TENSORS:
            raise RequestRefused(
                Code.INVALID_REQUEST, f"{what} has {len(named)} tensors; it takes from 1 to {MAX_TENSORS}"
            )
        tensors = JsonBody(f"{what}.tensors", named)
        return cls(tuple([_parse_tensor(name, tensors.nested(name), named[name], what) for name in sorted(named)]))

    def fields(self) -> dict[str, Any]:
        """Return the JSON object that :meth:`parse` reads."""
        if len(self.tensors) == 1 and not self.tensors[0].name:
            return self.tensors[0].fields()
        return {"tensors": {tensor.name: tensor.fields() for tensor in self.tensors}}

    def shape_of(self, name: str) -> tuple[int | None, ...] | None:
        """Return the declared dimensions of a tensor; None if there is no such tensor."""
        return next((tensor.shape for tensor in self.tensors if tensor.name == name), None)

    def check(self, specs: Sequence[TensorSpec], stream: str) -> None:
        """Check a message's tensors.

        Args:
            specs: specs of the message, or of one record of a batch.
            stream: name of the stream, for the error.

        Raises:
            RequestRefused: ``SCHEMA_MISMATCH``, with the declared tensors and those of the message.
        """
        met = {spec.name: spec for spec in specs}
        if len(met) == len(self.tensors) and all(
            tensor.name in met and tensor.fits(met[tensor.name]) for tensor in self.tensors
        ):
            return
        raise RequestRefused(
            Code.SCHEMA_MISMATCH, f"the schema of stream {stream} declares {self}; the message has {_listed(specs)}"
        )

    def __str__(self) -> str:
        return _listed(self.tensors)


def _parse_tensor(name: str, body: JsonBody, fields: Mapping[str, Any], what: str) -> TensorSchema:
    """Read the declaration of one tensor.

    Args:
        name: name of the tensor.
        body: its fields.
        fields: the same fields, to find an unknown one.
        what: name of the schema in error texts.
    """
    where = f"tensor {name[:80]!r} of {what}" if name else what
    if "dtype" not in body:
        unknown = sorted(fields.keys() - {"dtype", "shape", "tensors"})
        met = f"; unknown field {unknown[0][:80]!r}" if unknown else ""
        raise RequestRefused(Code.INVALID_REQUEST, f"{where}: field 'dtype' is required{met}")
    dtype_text = body.text("dtype")
    try:
        dtype = dtype_named(dtype_text)
    except RequestRefused as refusal:
        raise RequestRefused(Code.INVALID_REQUEST, f"{where}: {refusal.message}") from None
    if len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        raise RequestRefused(
            Code.INVALID_REQUEST, f"tensor name {name[:80]!r}... of {what} exceeds {MAX_NAME_BYTES} bytes"
        )
    shape = body.get("shape")
    if not isinstance(shape, list | tuple) or len(shape) > MAX_NDIM or not all(map(_is_size, shape)):
        problem = f"shape must be a list of at most {MAX_NDIM} integers of 0 or more, or null for any size"
        raise RequestRefused(Code.INVALID_REQUEST, f"{where}: {problem}")
    return TensorSchema(name, dtype, tuple(shape))


def _is_size(size: object) -> bool:
    return size is None or (type(size) is int and 0 <= size <= _MAX_SIZE)


def _listed(tensors: Iterable[TensorSchema | TensorSpec]) -> str:
    """Return tensors as readable text: ``w: float32[64, *], b: float32[64]``."""
    shown = [_shown(tensor) for tensor in tensors]
    return ", ".join(shown) or "no tensor"


def _shown(tensor: TensorSchema | TensorSpec) -> str:
    sizes = ", ".join(["*" if size is None else str(size) for size in tensor.shape])
    return f"{tensor.name[:80] + ': ' if tensor.name else ''}{dtype_name(tensor.dtype)}[{sizes}]"
