"""Views: the part of a stream that a subscriber wants instead of all (spec section 4.5).

A view is a plain value: elements (in numpy's terms), dtype and largest rate. From the descriptor of a tensor it derives
the descriptor of the result without any data; :mod:`gateway.streams.view` computes the result itself.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.arguments import is_a, shown
from gateway.protocol.dtypes import DTYPES, DTypeLike, dtype_name, dtype_named
from gateway.protocol.json_body import EXACT_MAX
from gateway.protocol.quantization import may_cast, must_quantize
from gateway.protocol.tensors import Array, TensorSpec
from gateway.protocol.wire import MAX_NAME_BYTES, MAX_NDIM

MIN_RATE_HZ: Final = 0.001
MAX_RATE_HZ: Final = 1000.0

MANY_QUANTIZED: Final = "only one tensor of a message can be quantized: name it by `tensor`"

_ELLIPSIS_TEXT: Final = "..."
_FIELDS: Final = frozenset({"slice", "dtype", "max_rate_hz", "tensor"})


class Span(NamedTuple):
    """Slice of one dimension, as in numpy; ``step`` is not 0, and negative steps go backwards."""

    start: int | None
    stop: int | None
    step: int

    def indices(self, length: int) -> range:
        """Return the indices that the span takes of a dimension."""
        return range(*slice(*self).indices(length))

    def __str__(self) -> str:
        start = "" if self.start in (None, 0) else self.start
        stop = "" if self.stop is None else self.stop
        return f"{start}:{stop}" + ("" if self.step == 1 else f":{self.step}")


Item = int | Span | EllipsisType
"""Index of a view in a dimension: one element (which drops the dimension), a span, or ``...`` for all in between."""


@dataclass(frozen=True, slots=True, init=False)
class View:
    """Selection that a receiver asks for (spec section 4.5). Views that select the same of every tensor are equal.

    Args:
        slice: a value of ``np.s_[...]``: an integer, a slice, ``...``, or a tuple of them; applied to each record of a
            record batch.
        dtype: name of a dtype that travels, or a value that numpy accepts as a dtype; None: unchanged. Floating tensors
            become integers of 8 or 16 bits by quantization (:mod:`gateway.protocol.quantization`).
        max_rate_hz: largest number of messages a second, of ``state`` streams; None: every message.
        tensor: name of the only tensor that is wanted; None: the view applies to each tensor of a message.

    Attributes:
        slice: the selection by dimension, of integers, ``...`` and :class:`Span`, which can be hashed as slices cannot.
            It is no index of numpy: :meth:`apply` takes the elements of an array.
        dtype: see above; its name.
        max_rate_hz: see above.
        tensor: see above.

    Raises:
        InvalidArgument: a value that no view can have.
    """

    slice: tuple[Item, ...]
    dtype: str | None
    max_rate_hz: float | None
    tensor: str | None

    def __init__(
        self,
        slice: object = (),
        dtype: object = None,
        max_rate_hz: float | None = None,
        tensor: str | None = None,
    ) -> None:
        for name, value in (
            ("slice", _items_of(slice)),
            ("dtype", _dtype_of(dtype)),
            ("max_rate_hz", _rate_of(max_rate_hz)),
            ("tensor", _tensor_of(tensor)),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> View:
        """Read the view in a SUBSCRIBE.

        Raises:
            RequestRefused: ``INVALID_VIEW``, a field is unknown, of a wrong type, or not possible. Unknown fields are
                not skipped as elsewhere, because the receiver would get another view than it asked for.
        """
        unknown = set(fields) - _FIELDS
        if unknown:
            names = ", ".join(sorted(name[:40] for name in unknown))
            raise RequestRefused(Code.INVALID_VIEW, f"a view has no field {names}; it has {', '.join(sorted(_FIELDS))}")
        items = fields.get("slice")
        items = [] if items is None else items
        try:
            if not isinstance(items, list):
                raise InvalidArgument(f"slice of a view must be a list, met {type(items).__name__}")
            return cls(
                tuple(_item_from_json(item) for item in items[: MAX_NDIM + 2]),
                _text_or_none("dtype", fields.get("dtype")),
                fields.get("max_rate_hz"),
                _text_or_none("tensor", fields.get("tensor")),
            )
        except InvalidArgument as error:
            raise RequestRefused(Code.INVALID_VIEW, str(error)) from None

    def to_json(self) -> dict[str, Any]:
        """Return the view as in a SUBSCRIBE, without the fields that are not set."""
        items = [_ELLIPSIS_TEXT if item is Ellipsis else _plain(item) for item in self.slice]
        fields = {
            "slice": items or None,
            "dtype": self.dtype,
            "max_rate_hz": self.max_rate_hz,
            "tensor": self.tensor,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def __str__(self) -> str:
        items = ", ".join("..." if item is Ellipsis else str(item) for item in self.slice)
        parts = [f"[{items}]" if self.slice else "[...]"]
        parts += [self.dtype] if self.dtype is not None else []
        parts += [f"at {self.max_rate_hz:g} Hz"] if self.max_rate_hz is not None else []
        parts += [f"of tensor {self.tensor!r}"] if self.tensor is not None else []
        return " ".join(parts)

    @property
    def wire_dtype(self) -> DTypeLike | None:
        """Dtype of the result; None: unchanged."""
        return None if self.dtype is None else dtype_named(self.dtype)

    def check(self, spec: TensorSpec) -> TensorSpec:
        """Return the spec of the result for one tensor, from the tensor's descriptor alone.

        Raises:
            RequestRefused: ``INVALID_VIEW``, the view does not fit; the message names the view, the dtype and shape.
        """
        shape: list[int] = []
        for item, length in zip(self._per_dimension(spec), spec.shape, strict=True):
            if isinstance(item, Span):
                shape.append(len(item.indices(length)))
            elif not -length <= item < length:
                raise self.misfit(spec, f"index {item} is outside of a dimension of {length}")
        target = self.wire_dtype or spec.dtype
        if not may_cast(spec.dtype, target):
            possible = ", ".join(dtype_name(dtype) for dtype in DTYPES if may_cast(spec.dtype, dtype))
            raise self.misfit(spec, f"{dtype_name(spec.dtype)} cannot become {dtype_name(target)}, but {possible}")
        return TensorSpec(spec.name, target, tuple(shape))

    def select(self, specs: tuple[TensorSpec, ...]) -> tuple[int, ...]:
        """Return the places of the tensors that the view is applied to; the others are left out.

        Raises:
            RequestRefused: ``INVALID_VIEW``, the message lacks the tensor that the view names.
        """
        if self.tensor is None:
            return tuple(range(len(specs)))
        for place, spec in enumerate(specs):
            if spec.name == self.tensor:
                return (place,)
        there = ", ".join(f"{spec.name!r} {dtype_name(spec.dtype)}{list(spec.shape)}" for spec in specs) or "none"
        raise RequestRefused(Code.INVALID_VIEW, f"view {self} does not fit a message with these tensors: {there}")

    def check_all(self, specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        """Return the specs of the result for a message with these tensors.

        Raises:
            RequestRefused: ``INVALID_VIEW``, see :meth:`check` and :meth:`select`.
        """
        places = self.select(specs)
        shown = tuple(self.check(specs[place]) for place in places)
        if len(places) > 1:
            for place, spec in zip(places, shown, strict=True):
                if must_quantize(specs[place].dtype, spec.dtype):
                    raise self.misfit(specs[place], MANY_QUANTIZED)
        return shown

    def canonical(self, spec: TensorSpec) -> View:
        """Return the same selection of this tensor in its one canonical form, resolved against shape and dtype.

        Raises:
            RequestRefused: ``INVALID_VIEW``, the view does not fit.
        """
        self.check(spec)
        items = [
            _resolved(item, length) if isinstance(item, Span) else item % length
            for item, length in zip(self._per_dimension(spec), spec.shape, strict=True)
        ]
        while items and items[-1] == Span(0, spec.shape[len(items) - 1], 1):
            items.pop()
        dtype = None if self.dtype == dtype_name(spec.dtype) else self.dtype
        spelled = [slice(*item) if isinstance(item, Span) else item for item in items]
        return View(tuple(spelled), dtype, self.max_rate_hz, self.tensor)

    def apply(self, array: Array, *, is_batch: bool = False) -> Array:
        """Return the selected elements: a view of the array's memory, of any strides; dtype and rate are not applied.

        Args:
            array: array that passed :meth:`check`.
            is_batch: the first dimension counts records, and the view is applied to each record.
        """
        index: list[Any] = [slice(*item) if isinstance(item, Span) else item for item in self.slice]
        if is_batch:
            index.insert(0, slice(None))
        # The ellipsis makes numpy return an array instead of a scalar.
        taken: Array = array[tuple(index) if Ellipsis in index else (*index, ...)]
        return taken

    def _per_dimension(self, spec: TensorSpec) -> list[int | Span]:
        ndim = len(spec.shape)
        items = [item for item in self.slice if not isinstance(item, EllipsisType)]
        if len(items) > ndim:
            raise self.misfit(spec, f"its slice has {len(items)} dimensions")
        at = self.slice.index(Ellipsis) if Ellipsis in self.slice else len(items)
        return [*items[:at], *[_ALL] * (ndim - len(items)), *items[at:]]

    def misfit(self, spec: TensorSpec, problem: str) -> RequestRefused:
        """Return the error for a tensor that the view does not fit: ``INVALID_VIEW``."""
        name = f"tensor {spec.name!r}" if spec.name else "the tensor"
        met = f"{name} of dtype {dtype_name(spec.dtype)} and shape {list(spec.shape)}"
        return RequestRefused(Code.INVALID_VIEW, f"view {self} does not fit {met}: {problem}")


_ALL: Final = Span(0, None, 1)


def _items_of(value: object) -> tuple[Item, ...]:
    parts = value if is_a(value, tuple) else (value,)
    items = [_item_of(part) for part in parts]
    if items.count(Ellipsis) > 1:
        raise InvalidArgument(f"slice of a view has {items.count(Ellipsis)} ellipses; one is allowed")
    if len(items) - items.count(Ellipsis) > MAX_NDIM:
        raise InvalidArgument(f"slice of a view has {len(items)} items, but tensors have at most {MAX_NDIM} dimensions")
    # An ellipsis at the end says nothing: dimensions that are not named are taken completely anyway.
    return tuple(items[:-1] if items and items[-1] is Ellipsis else items)


def _item_of(value: object) -> Item:
    if is_a(value, EllipsisType):
        return value
    if is_a(value, slice):
        start, stop, step = (
            None if bound is None else _integer(bound) for bound in (value.start, value.stop, value.step)
        )
        step = 1 if step is None else step
        if not step:
            raise InvalidArgument("slice of a view has a step of 0; a step is positive or negative")
        return Span(0 if start is None and step > 0 else start, stop, step)
    return _integer(value)


def _integer(value: object) -> int:
    if is_a(value, (bool, np.bool_)) or not hasattr(type(value), "__index__"):
        problem = f"slice of a view holds {shown(value)}: only integers, slices and an ellipsis are possible"
        raise InvalidArgument(problem[:200])
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # it has __index__
    except Exception as error:  # noqa: BLE001 - of an array, or a class of the program
        raise InvalidArgument(f"slice of a view holds {shown(value)}: {error}") from None
    if abs(number) > EXACT_MAX:
        raise InvalidArgument(f"slice of a view holds {number}, which exceeds {EXACT_MAX}")
    return number


def _item_from_json(value: object) -> object:
    if value == _ELLIPSIS_TEXT:
        return Ellipsis
    if not isinstance(value, list):
        return value
    if len(value) != 3:
        raise InvalidArgument(f"slice of a view holds a list of {len(value)} values; it must be [start, stop, step]")
    return slice(*value)


def _plain(item: object) -> object:
    return list(item) if isinstance(item, Span) else item


def _resolved(span: Span, length: int) -> Span:
    indices = span.indices(length)
    if not indices:
        return Span(0, 0, 1)
    if len(indices) == 1:
        return Span(indices[0], indices[0] + 1, 1)
    stop = indices[-1] + (1 if indices.step > 0 else -1)
    return Span(indices[0], None if stop < 0 else stop, indices.step)


def _dtype_of(value: object) -> str | None:
    if value is None:
        return None
    try:
        if isinstance(value, str):
            dtype_named(value)
            return value
        return dtype_name(np.dtype(value).newbyteorder("<"))  # type: ignore[call-overload]  # it says what it takes
    except Exception as error:  # noqa: BLE001 - numpy has many for what is no dtype
        raise InvalidArgument(f"dtype {shown(value)} of a view: {getattr(error, 'message', error)}") from None


def _rate_of(value: object) -> float | None:
    if value is None:
        return None
    if is_a(value, bool) or not is_a(value, (int, float, np.number)):
        raise InvalidArgument(f"max_rate_hz={shown(value)} of a view must be a number")
    try:
        rate_hz = float(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - complex, of too many digits, or of the program's own class
        rate_hz = math.nan
    if not (math.isfinite(rate_hz) and MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ):
        raise InvalidArgument(f"max_rate_hz={shown(value)} of a view must be from {MIN_RATE_HZ:g} to {MAX_RATE_HZ:g}")
    return rate_hz


def _tensor_of(value: object) -> str | None:
    if value is None:
        return None
    if not is_a(value, str):
        raise InvalidArgument(f"tensor={shown(value)} of a view must be a name")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        size = MAX_NAME_BYTES + 1
    if size > MAX_NAME_BYTES:
        raise InvalidArgument(
            f"tensor {value[:40]!r} of a view must be a Unicode name of at most {MAX_NAME_BYTES} bytes"
        )
    return value


def _text_or_none(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidArgument(f"{name} of a view must be a string, met {type(value).__name__}")
    return value
