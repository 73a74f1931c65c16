"""``none``: the data as it is; the end of a chain without a compressor (spec section 10)."""

from __future__ import annotations

from typing import Final

from gateway.protocol.codecs.abc import NO_PARAMETER, corrupt
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.wire import Buffer


class NoneCodec:
    """Codec that returns the buffer that it was given."""

    name: Final = "none"
    id: Final = 0
    levels: Final = range(0)
    parameters: Final = NO_PARAMETER
    max_ratio: Final = 1

    def parameter_for(self, element: DTypeLike) -> int:
        """Return 0: all data is bytes."""
        return 0

    def encode(self, data: Buffer, level: int | None, parameter: int) -> Buffer:
        """Return ``data`` itself."""
        return data

    def check_size(self, data: Buffer, decoded_bytes: int, parameter: int) -> None:
        """Raise ``CORRUPT_PAYLOAD`` unless the data has its decoded size."""
        if len(data) != decoded_bytes:
            raise corrupt(f"{len(data)} bytes that are not compressed declare {decoded_bytes}")

    def decode(self, data: Buffer, decoded_bytes: int, parameter: int) -> Buffer:
        """Return ``data`` itself, if it has the declared size."""
        self.check_size(data, decoded_bytes, parameter)
        return data
