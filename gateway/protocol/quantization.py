"""Conversion of numbers for views that ask for another dtype: casting and quantization (spec section 4.5).

Pure numpy; knows no messages. Both ends share this module: the gateway casts, the SDK restores quantized numbers.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from gateway.protocol.dtypes import DTypeLike, code_of
from gateway.protocol.extensions import Quantization
from gateway.protocol.tensors import Array

BLOCK_ELEMENTS: Final = 1 << 18
"""Elements that are float64 at a time, however large the tensor: 2 MB, which stays in a core's cache."""

_QUANTIZABLE: Final = frozenset(map(np.dtype, (np.int8, np.uint8, np.int16, np.uint16)))
_SMALLEST_SCALE: Final = float(np.finfo(np.float64).tiny)
_LARGEST: Final = float(np.finfo(np.float64).max)

_ORDER: Final = "biufc"


def _kind(dtype: DTypeLike) -> str:
    """Return the kind of a dtype: ``b``, ``i`` (signed or unsigned), ``f`` (also bfloat16) or ``c``."""
    return "i" if dtype.kind == "u" else dtype.kind if dtype.kind in _ORDER else "f"


def may_cast(source: DTypeLike, target: DTypeLike) -> bool:
    """Return whether tensors of one dtype can be shown as another, for any values.

    Two conversions are excluded: one that would lose an imaginary part, and floating numbers to integers of 32 or 64
    bits, for which quantization saves too little.
    """
    have, want = _kind(source), _kind(target)
    if have == "c":
        return want in "cb"
    return not (have == "f" and want == "i") or target in _QUANTIZABLE


def must_quantize(source: DTypeLike, target: DTypeLike) -> bool:
    """Return whether tensors of one dtype are quantized to become the other, for any values."""
    return _kind(source) == "f" and target in _QUANTIZABLE


def cast(array: Array, target: DTypeLike) -> tuple[Array, Quantization | None]:
    """Return an array as another dtype.

    Args:
        array: array of a wire dtype for which :func:`may_cast` is true; any strides.
        target: a wire dtype.

    Returns:
        A C-contiguous array (the same object if no conversion is needed), and the quantization if there was one.

    Raises:
        OverflowError: integers that do not fit into a target of 32 or 64 bits.
    """
    have, want = _kind(array.dtype), _kind(target)
    if want == "i" and have in "if" and array.dtype != target:
        fits = have == "i" and _fits(array, target)
        if not fits and target in _QUANTIZABLE:
            return quantize(array, target)
        if not fits:
            raise OverflowError(f"values from {array.min()} to {array.max()} do not fit into {target}")
    if array.dtype == target:
        return (array if array.flags.c_contiguous else array.copy(order="C")), None
    # Numbers beyond float16 become infinite, as with numpy's astype.
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(target, order="C"), None


def quantize(array: Array, target: DTypeLike) -> tuple[Array, Quantization]:
    """Return numbers as integers of 8 or 16 bits, spread evenly over the range of the finite numbers.

    A number is then about ``(q - zero_point) * scale``. The error of a finite number is at most ``scale / 2`` plus the
    rounding of float64 (``2**-50`` of the largest number). The smallest number becomes the smallest integer, the
    largest becomes the largest. Positive infinity becomes the largest integer, negative infinity and NaN the smallest.
    Equal numbers are restored exactly.

    Args:
        array: integers or floating numbers, any strides.
        target: an integer dtype of 8 or 16 bits.
    """
    flat = np.ravel(array)
    low, high = _finite_range(flat)
    bounds = np.iinfo(target)
    smallest, levels = int(bounds.min), int(bounds.max) - int(bounds.min)
    if low > high:  # no finite number
        scale, zero_point = 1.0, float(smallest)
    elif low == high:
        scale, zero_point = abs(low) or 1.0, smallest - math.copysign(1.0, low) if low else float(smallest)
    else:
        span = high - low
        # The span of the full range of float64 exceeds float64.
        scale = max(span / levels if math.isfinite(span) else high / levels - low / levels, _SMALLEST_SCALE)
        zero_point = smallest - low / scale
    out = np.empty(flat.shape, target)
    for at in range(0, flat.size, BLOCK_ELEMENTS):
        with np.errstate(invalid="ignore"):  # signaling NaN
            block = flat[at : at + BLOCK_ELEMENTS].astype(np.float64)
            steps = np.rint(block / scale + (zero_point - smallest))
        np.nan_to_num(steps, copy=False, nan=0.0, posinf=levels, neginf=0.0)
        out[at : at + BLOCK_ELEMENTS] = np.clip(steps, 0, levels, out=steps) + smallest
    return out.reshape(array.shape), Quantization(code_of(array.dtype), scale, zero_point)


def dequantize(array: Array, quantization: Quantization) -> Array:
    """Restore the numbers that quantized ones stand for, in their original dtype."""
    original = quantization.dtype
    with np.errstate(over="ignore"):
        numbers = (array.astype(np.float64) - quantization.zero_point) * quantization.scale
    numbers = np.clip(numbers, -_LARGEST, _LARGEST)  # the largest float64 may have become infinite
    if _kind(original) == "i":
        bounds = np.iinfo(original)
        # The next float64 above the largest int64 is too large for it.
        largest = float(bounds.max) if bounds.bits < 64 else np.nextafter(float(bounds.max), 0)
        numbers = np.clip(np.rint(numbers), float(bounds.min), largest)
    with np.errstate(over="ignore"):
        restored: Array = np.asarray(numbers).astype(original)
    return restored


def _finite_range(flat: Array) -> tuple[float, float]:
    low, high = math.inf, -math.inf
    for at in range(0, flat.size, BLOCK_ELEMENTS):
        block = flat[at : at + BLOCK_ELEMENTS]
        if _kind(block.dtype) == "f":
            with np.errstate(invalid="ignore"):
                block = block.astype(np.float64)
            block = block[np.isfinite(block)]
        if block.size:
            low, high = min(low, float(block.min())), max(high, float(block.max()))
    return low, high


def _fits(array: Array, target: DTypeLike) -> bool:
    if np.can_cast(array.dtype, target) or not array.size:
        return True
    bounds = np.iinfo(target)
    return int(array.min()) >= bounds.min and int(array.max()) <= bounds.max
