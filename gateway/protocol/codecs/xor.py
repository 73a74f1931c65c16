"""``xor``: the difference to an earlier version of the same state (spec section 10).

Bytes that did not change become zero. Best used before ``shuffle`` and a compressor.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from gateway.errors import InvalidArgument
from gateway.protocol.codecs.abc import base_size, corrupt
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.wire import Buffer


class Xor:
    """Xor with a base payload of the same size; its own inverse.

    The base is the payload of the message whose offset is lower by the parameter. The caller looks the base up, the
    filter only combines.
    """

    name: Final = "xor"
    id: Final = 17
    parameters: Final = range(1, 256)

    def filtered(self, element: DTypeLike) -> DTypeLike:
        """Return an unsigned integer of the same bits: what is left of a float is none. Complex ones are two."""
        return np.dtype(f"<u{element.itemsize // (2 if element.kind == 'c' else 1)}")

    def encode_into(self, data: Buffer, out: memoryview, parameter: int, base: Buffer | None) -> None:
        """Write ``data`` xor ``base`` to ``out``."""
        if base is None or len(base) != len(data):
            raise InvalidArgument(f"xor of {len(data)} bytes needs a base of that size, not {base_size(base)}")
        _combine(data, base, out)

    def decode_into(self, data: Buffer, out: memoryview, parameter: int, base: Buffer | None) -> None:
        """Write ``data`` xor ``base`` to ``out``; ``CORRUPT_PAYLOAD`` without a base of the same size."""
        if base is None or len(base) != len(data):
            raise corrupt(
                f"delta of {len(data)} bytes to the message {parameter} before, whose size is {base_size(base)}"
            )
        _combine(data, base, out)


def _combine(data: Buffer, base: Buffer, out: memoryview) -> None:
    one, other = np.frombuffer(data, np.uint8), np.frombuffer(base, np.uint8)
    np.bitwise_xor(one, other, out=np.frombuffer(out, np.uint8))
