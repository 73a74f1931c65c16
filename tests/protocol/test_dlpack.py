"""Tests that bfloat16 of other libraries is taken without a copy, although numpy does not know it."""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gateway.errors import InvalidArgument
from gateway.protocol.dlpack import import_bfloat16
from gateway.protocol.tensors import as_wire_array

TYPE_AT = 20
"""Index of the type in the struct of a capsule, on machines of 64 bits."""


class Tensor:
    """A tensor as torch exports it: its capsule says bfloat16, and it makes no array of itself."""

    dtype = "torch.bfloat16"

    def __init__(self, array: Any, code: int = 4) -> None:
        self.array = array.view(np.uint16)
        self.code = code

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self.array.__dlpack_device__()
        return device

    def __dlpack__(self, **_: object) -> Any:
        capsule = self.array.__dlpack__()
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        ctypes.c_uint8.from_address(pointer(capsule, b"dltensor") + TYPE_AT).value = self.code
        return capsule

    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("Got unsupported ScalarType BFloat16")


def test_bfloat16_is_taken_over_its_memory() -> None:
    values = np.arange(6, dtype=ml_dtypes.bfloat16).reshape(2, 3)
    array = as_wire_array(Tensor(values))
    assert array.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(array, values)
    assert np.shares_memory(array, values)


def test_a_part_with_gaps_is_copied_in_order() -> None:
    values = np.arange(12, dtype=ml_dtypes.bfloat16).reshape(3, 4)[:, ::2]
    np.testing.assert_array_equal(as_wire_array(Tensor(values)), values)


def test_another_type_is_none() -> None:
    assert import_bfloat16(np.zeros(3, np.float32)) is None


def test_a_type_that_nobody_knows_is_refused_with_its_name() -> None:
    with pytest.raises(InvalidArgument, match=r"Tensor of dtype 'torch.bfloat16': Got unsupported"):
        as_wire_array(Tensor(np.zeros(3, ml_dtypes.bfloat16), code=77))
