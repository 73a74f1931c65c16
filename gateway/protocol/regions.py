"""Regions: the part of a tensor that a patch replaces (spec section 5.4).

Knows numpy's basic indexing; does not know frames or streams.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.arguments import is_a, shown
from gateway.protocol.extensions import Extent
from gateway.protocol.tensors import Array

Sizes = Sequence[int | None]
"""Dimensions of a tensor; None: unknown."""

_MAX_BOUND: Final = 2**63 - 1
_NEEDS_SHAPE: Final = "needs the shape of the state: name all bounds, or publish a keyframe before the patches"


@dataclass(frozen=True, slots=True)
class Region:
    """Part of a tensor."""

    extents: tuple[Extent, ...]
    """Indices of each dimension; empty for a scalar."""

    @classmethod
    def of(cls, key: object, shape: Sizes | None = None) -> Region:
        """Return the region that numpy's basic indexing ``array[key]`` selects.

        An integer counts as a slice of one, so that a region has as many dimensions as its tensor. Other than in numpy,
        slices are not cut off: a bound outside of the tensor is an error if the shape is known.

        Args:
            key: ``np.s_[...]``: integers, slices with steps of 1 and more, ``...``, or a tuple of them.
            shape: shape of the tensor, as far as known. If it is unknown, the key must name all dimensions and every
                bound, each as a number from 0 on.

        Raises:
            InvalidArgument: another kind of index, a bound that needs a shape, or one outside of it.
        """
        items = _expanded(key, shape)
        sizes: Sizes = [None] * len(items) if shape is None else shape
        return cls(tuple([_extent(*item) for item in zip(items, sizes, range(len(items)), strict=True)]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of indices in each dimension: the shape of the patch that replaces the region."""
        return tuple([extent.count for extent in self.extents])

    @property
    def slices(self) -> tuple[slice, ...]:
        """Key by which numpy selects the region, one slice for each dimension."""
        return tuple([slice(extent.start, _end(extent), extent.step) for extent in self.extents])

    def check(self, shape: Sequence[int]) -> None:
        """Check that the region lies within a tensor of this shape.

        Raises:
            RequestRefused: ``INVALID_REGION``, with the region and the shape.
        """
        if len(shape) != len(self.extents):
            problem = f"{len(self.extents)} dimensions, the state has {len(shape)}"
        else:
            outside = [axis for axis, extent in enumerate(self.extents) if _end(extent) > shape[axis]]
            if not outside:
                return
            problem = f"dimension {outside[0]} has no index {_end(self.extents[outside[0]]) - 1}"
        raise RequestRefused(Code.INVALID_REGION, f"region {self} of a state of shape {tuple(shape)}: {problem}")

    def selects(self, array: Array) -> Array:
        """Return the part of ``array`` in the region: a view, writable if ``array`` is.

        Args:
            array: array of a shape that passed :meth:`check`.
        """
        # The `...` in the key makes numpy return a view even of a scalar, not its value.
        key: tuple[Any, ...] = (..., *self.slices)
        part: Array = array[key]
        return part

    def fit(self, patch: Array) -> Array:
        """Return a patch in the region's shape; dimensions of 1 may be missing, as after integer indices in numpy.

        Returns:
            The same array, or a view of it.

        Raises:
            InvalidArgument: the shapes differ otherwise.
        """
        shape = self.shape
        if patch.shape == shape:
            return patch
        if [size for size in patch.shape if size != 1] != [count for count in shape if count != 1]:
            raise InvalidArgument(f"patch of shape {patch.shape} does not fit region {self} of shape {shape}")
        return patch.reshape(shape)

    def __str__(self) -> str:
        return f"[{', '.join(map(_written, self.extents))}]"


def _expanded(key: object, shape: Sizes | None) -> list[object]:
    """Return one index for each dimension."""
    items: list[object] = list(key) if is_a(key, tuple) else [key]
    gaps = [at for at, item in enumerate(items) if item is Ellipsis]
    if len(gaps) > 1:
        raise InvalidArgument(f"region {_shown(key)} has more than one '...'")
    if shape is None:
        if gaps:
            raise InvalidArgument(f"region {_shown(key)}: '...' {_NEEDS_SHAPE}")
        return items
    missing = len(shape) - len(items) + len(gaps)
    if missing < 0:
        raise InvalidArgument(f"region {_shown(key)} has more dimensions than the state, whose shape is {tuple(shape)}")
    at = gaps[0] if gaps else len(items)
    items[at : at + len(gaps)] = [slice(None)] * missing
    return items


def _extent(item: object, size: int | None, axis: int) -> Extent:
    where = f"region: {_shown(item)} in dimension {axis}"
    if not is_a(item, slice):
        start = _bound(_integer(item, where), size, where)
        if start == size:
            raise InvalidArgument(f"{where} is outside of its {size} indices")
        return Extent(start, 1, 1)
    step = 1 if item.step is None else _integer(item.step, where)
    if step < 1:
        raise InvalidArgument(f"{where}: a step is at least 1; reverse the patch instead")
    start = 0 if item.start is None else _bound(_integer(item.start, where), size, where)
    stop = size if item.stop is None else _bound(_integer(item.stop, where), size, where)
    if stop is None:
        raise InvalidArgument(f"{where}: an open end {_NEEDS_SHAPE}")
    return Extent(start, max(0, -(-(stop - start) // step)), step)


def _end(extent: Extent) -> int:
    """Return the index behind the last one of the extent."""
    return extent.start + (extent.count - 1) * extent.step + 1 if extent.count else extent.start


def _written(extent: Extent) -> str:
    return f"{extent.start}:{_end(extent)}" + (f":{extent.step}" if extent.step > 1 else "")


def _bound(bound: int, size: int | None, where: str) -> int:
    if bound < 0:
        if size is None:
            raise InvalidArgument(f"{where}: counting from the end {_NEEDS_SHAPE}")
        bound += size
    if bound < 0 or (size is not None and bound > size):
        raise InvalidArgument(f"{where} is outside of its {size} indices")
    return bound


def _integer(value: Any, where: str) -> int:
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except Exception:  # noqa: BLE001 - a TypeError, or an error of the program's own class
        number = None
    if number is None:
        raise InvalidArgument(f"{where}: a region is made of integers, slices of integers and '...'")
    if abs(number) > _MAX_BOUND:
        raise InvalidArgument(f"{where}: no dimension has more than {_MAX_BOUND} indices")
    return number


def _shown(item: object) -> str:
    """Return an index as written in Python, shortened."""
    if is_a(item, tuple):
        return f"[{', '.join(map(_shown, item))}]"
    if is_a(item, slice):
        parts = ["" if part is None else shown(part) for part in (item.start, item.stop, item.step)]
        return ":".join(parts if parts[2] else parts[:2])
    return "..." if item is Ellipsis else shown(item)
