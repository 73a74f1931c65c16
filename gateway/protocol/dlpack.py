"""Arrays of bfloat16 over the memory of other libraries, whose type numpy's own import of DLPack lacks.

The capsule of DLPack holds a C struct. Its type is read, and that of a bfloat16 is replaced by uint16 for the import.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt

# DLTensor: data pointer, device (two i32), ndim (i32), then the type (u8 code, u8 bits, u16 lanes).
_TYPE_AT: Final = ctypes.sizeof(ctypes.c_void_p) + 12
_UINT: Final = 1
_BFLOAT: Final = 4
_CAPSULE: Final = b"dltensor"

_pointer_in = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_in.restype = ctypes.c_void_p
_pointer_in.argtypes = [ctypes.py_object, ctypes.c_char_p]


class _Export:
    """Exporter of a capsule that is made already."""

    def __init__(self, capsule: object, device: tuple[int, int]) -> None:
        self._capsule = capsule
        self._device = device

    def __dlpack__(self, **options: object) -> object:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


def import_bfloat16(value: Any) -> npt.NDArray[Any] | None:
    """Return an array of bfloat16 over the memory of ``value``; None if ``value`` holds another type.

    Args:
        value: exporter of DLPack in CPU memory.

    Raises:
        Exception: an error of the exporter, or of numpy about the memory.
    """
    capsule = value.__dlpack__()
    type_at = _pointer_in(capsule, _CAPSULE) + _TYPE_AT
    code, bits = ctypes.c_uint8.from_address(type_at), ctypes.c_uint8.from_address(type_at + 1)
    if (code.value, bits.value) != (_BFLOAT, 16):
        return None
    code.value = _UINT
    raw = np.from_dlpack(_Export(capsule, value.__dlpack_device__()))  # type: ignore[arg-type]  # numpy asks for more
    array: npt.NDArray[Any] = raw.view(ml_dtypes.bfloat16)
    return array
