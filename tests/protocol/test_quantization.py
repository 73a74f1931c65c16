"""Casting and quantization: numpy's own casts, and the bound on the error of the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.dtypes import DTYPES, code_of, dtype_named
from gateway.protocol.quantization import BLOCK_ELEMENTS, cast, dequantize, may_cast, must_quantize, quantize
from tests.protocol.strategies import Array, arrays, dtypes, same_bits

TARGETS = [dtype_named(name) for name in ("int8", "uint8", "int16", "uint16")]
FLOATS = [dtype_named(name) for name in ("float16", "bfloat16", "float32", "float64")]
INTEGERS = [dtype for dtype in DTYPES if dtype.kind in "iu"]

numbers = arrays(max_ndim=3).filter(lambda array: array.dtype in (*FLOATS, *INTEGERS))


def wide_of(array: Array) -> Array:
    with np.errstate(invalid="ignore"):  # signaling NaN
        return array.astype(np.float64)


def finite_of(array: Array) -> Array:
    wide = wide_of(array)
    return wide[np.isfinite(wide)]


def error_bound(array: Array, scale: float) -> float:
    """What the documentation promises."""
    return scale / 2 + float(np.abs(finite_of(array)).max(initial=0)) * 2.0**-50


@given(numbers, st.sampled_from(TARGETS))
def test_a_quantized_number_is_off_by_half_a_step_at_most(array: Array, target: np.dtype[np.int_]) -> None:
    quantized, how = quantize(array, target)
    assert (quantized.dtype, quantized.shape) == (target, array.shape)
    assert how.dtype_code == code_of(array.dtype)
    assert how.scale > 0
    # Halves, because the range of float64 may be beyond float64.
    finite = np.isfinite(wide_of(array))
    restored = (quantized[finite].astype(np.float64) - how.zero_point) * (how.scale / 2)
    off = np.abs(restored - finite_of(array) / 2)
    assert off.max(initial=0) <= error_bound(array, how.scale) / 2


@given(numbers, st.sampled_from(TARGETS))
def test_the_range_is_used_and_what_is_not_finite_goes_to_its_ends(array: Array, target: np.dtype[np.int_]) -> None:
    quantized, how = quantize(array, target)
    bounds = np.iinfo(target)
    wide = wide_of(array)
    assert (quantized[np.isposinf(wide)] == bounds.max).all()
    assert (quantized[np.isneginf(wide) | np.isnan(wide)] == bounds.min).all()
    finite = finite_of(array)
    if finite.size and finite.min() != finite.max() and how.scale > np.finfo(np.float64).tiny:
        levels = np.unique(quantized[np.isfinite(wide)])
        assert (levels[0], levels[-1]) == (bounds.min, bounds.max)


@given(numbers.filter(lambda array: array.size > 0), st.sampled_from(TARGETS))
def test_a_constant_comes_back_exactly(array: Array, target: np.dtype[np.int_]) -> None:
    value = array.reshape(-1)[0]
    if array.dtype.itemsize == 8 and array.dtype.kind in "iu":
        value = array.dtype.type(int(value) >> 11 << 11)  # what float64 holds
    constant = np.full((2, 3), value, array.dtype)
    restored = dequantize(*quantize(constant, target))
    if np.isfinite(np.float64(value)):
        assert same_bits(restored, constant) or (restored == constant).all()
    assert restored.dtype == constant.dtype


def test_blocks_make_no_difference() -> None:
    noise = np.random.default_rng(7).normal(size=BLOCK_ELEMENTS + 3).astype(np.float32)
    whole, how = quantize(noise, np.dtype(np.uint8))
    expected = np.rint((noise.astype(np.float64) - how.zero_point * -how.scale) / how.scale)
    assert np.abs(whole - expected).max() <= 1
    assert np.abs(dequantize(whole, how) - noise).max() <= error_bound(noise, how.scale) + 1e-7


@given(arrays(max_ndim=3), dtypes)
def test_other_casts_are_those_of_numpy(array: Array, target: np.dtype[np.int_]) -> None:
    if not may_cast(array.dtype, target):
        return
    try:
        shown, how = cast(array, target)
    except OverflowError:
        bounds = np.iinfo(target)
        assert int(array.max()) > bounds.max or int(array.min()) < bounds.min
        return
    assert (shown.dtype, shown.shape) == (target, array.shape)
    assert shown.flags.c_contiguous
    if how is None:
        with np.errstate(over="ignore", invalid="ignore"):
            assert same_bits(shown, array.astype(target))
    else:
        assert target in TARGETS


@pytest.mark.parametrize("source", FLOATS, ids=str)
def test_floating_numbers_as_wide_integers_and_complex_ones_as_real_are_refused(source: np.dtype[np.float64]) -> None:
    assert not may_cast(source, np.dtype(np.int32))
    assert not may_cast(np.dtype(np.complex64), source)
    assert may_cast(source, np.dtype(np.uint8))
    assert may_cast(source, np.dtype(np.bool_))


def test_integers_that_fit_stay_as_they_are() -> None:
    shown, how = cast(np.array([0, 255], np.int64), np.dtype(np.uint8))
    assert how is None
    assert shown.tolist() == [0, 255]
    shown, how = cast(np.array([0, 510], np.int64), np.dtype(np.uint8))
    assert how is not None
    assert (shown.tolist(), how.scale, how.zero_point) == ([0, 255], 2.0, 0.0)
    assert dequantize(shown, how).tolist() == [0, 510]
    with pytest.raises(OverflowError, match="0 to 4294967296"):
        cast(np.array([0, 2**32], np.int64), np.dtype(np.int32))


def test_the_example_of_the_specification() -> None:
    numbers = np.array([[-64, 63.5, 0, 1.2], [0.3, np.nan, np.inf, -np.inf]], np.float32)
    shown, how = quantize(numbers, np.dtype(np.uint8))
    assert (how.dtype_code, how.scale, how.zero_point) == (12, 0.5, 128.0)
    vector = (Path(__file__).parents[2] / "spec/vectors/view-quantized.bin").read_bytes()
    assert shown.tobytes() == vector[-8:]
    assert dequantize(shown, how).tolist() == [[-64.0, 63.5, 0.0, 1.0], [0.5, -64.0, 63.5, -64.0]]


def test_nothing_finite_and_nothing_at_all() -> None:
    shown, how = quantize(np.array([np.nan, np.inf, -np.inf], np.float16), np.dtype(np.int8))
    assert (shown.tolist(), how.scale) == ([-128, 127, -128], 1.0)
    assert quantize(np.zeros((0, 3), np.float32), np.dtype(np.uint8))[0].shape == (0, 3)


def test_the_largest_integers_come_back_as_integers() -> None:
    for dtype in (np.int64, np.uint64):
        bounds = np.iinfo(dtype)
        extremes = np.array([bounds.min, bounds.max], dtype)
        restored = dequantize(*quantize(extremes, np.dtype(np.uint16)))
        assert restored.dtype == dtype
        assert abs(int(restored[1]) - int(extremes[1])) <= 2**49
        assert int(restored[0]) == int(extremes[0])


@pytest.mark.parametrize(
    ("source", "target", "quantized"),
    [
        ("float32", "uint8", True),
        ("bfloat16", "int16", True),
        ("float32", "int32", False),
        ("int64", "uint8", False),
        ("float64", "float16", False),
    ],
)
def test_floating_numbers_must_be_quantized_to_small_integers(source: str, target: str, quantized: bool) -> None:
    assert must_quantize(dtype_named(source), dtype_named(target)) is quantized
