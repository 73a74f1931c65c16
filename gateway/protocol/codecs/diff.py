"""``diff8`` to ``diff64``: change of every integer since an earlier version of the state (spec section 10).

Counters and indices that move by small steps become small numbers, whose high bytes are zero; xor would carry every
step through the bits. Best used before ``shuffle`` and a compressor.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.errors import InvalidArgument
from gateway.protocol.codecs.abc import base_size, corrupt
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.wire import Buffer


class Diff:
    """Difference modulo 2**n of little-endian integers of n bits to those of a base payload of the same size.

    The parameter names the base, as that of ``xor`` does. Bytes past the last complete element are copied.

    Args:
        wire_id: number on the wire.
        itemsize: bytes of an integer: 1, 2, 4 or 8.
    """

    parameters: Final = range(1, 256)

    def __init__(self, wire_id: int, itemsize: int) -> None:
        self.id: Final = wire_id
        self.name: Final = f"diff{8 * itemsize}"
        self._itemsize = itemsize
        self._dtype: np.dtype[Any] = np.dtype(f"<u{itemsize}")
        self._change: DTypeLike = np.dtype(f"<i{itemsize}")

    def filtered(self, element: DTypeLike) -> DTypeLike:
        """Return the signed integer: steps up and down are small numbers."""
        return self._change

    def encode_into(self, data: Buffer, out: memoryview, parameter: int, base: Buffer | None) -> None:
        """Write ``data`` minus ``base`` to ``out``."""
        if base is None or len(base) != len(data):
            raise InvalidArgument(f"{self.name} of {len(data)} bytes needs a base of that size, not {base_size(base)}")
        np.subtract(self._integers(data), self._integers(base), out=self._integers(out))
        self._copy_rest(data, out)

    def decode_into(self, data: Buffer, out: memoryview, parameter: int, base: Buffer | None) -> None:
        """Write ``data`` plus ``base`` to ``out``; ``CORRUPT_PAYLOAD`` without a base of the same size."""
        if base is None or len(base) != len(data):
            raise corrupt(
                f"delta of {len(data)} bytes to the message {parameter} before, whose size is {base_size(base)}"
            )
        np.add(self._integers(data), self._integers(base), out=self._integers(out))
        self._copy_rest(data, out)

    def _integers(self, data: Buffer) -> npt.NDArray[Any]:
        return np.frombuffer(data, self._dtype, count=len(data) // self._itemsize)

    def _copy_rest(self, data: Buffer, out: memoryview) -> None:
        end = len(data) - len(data) % self._itemsize
        out[end:] = data[end:]
