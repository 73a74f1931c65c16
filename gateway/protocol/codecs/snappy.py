"""``snappy``: the Snappy raw format, for peers that have no lz4 (spec section 10)."""

from __future__ import annotations

from typing import Final

import snappy

from gateway.protocol.codecs.abc import NO_PARAMETER, check_ratio, corrupt
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.wire import Buffer

_MAX_PREAMBLE_BYTES: Final = 5


class Snappy:
    """Snappy raw blocks, which start with their decoded size and have no levels."""

    name: Final = "snappy"
    id: Final = 3
    levels: Final = range(0)
    parameters: Final = NO_PARAMETER
    max_ratio: Final = 22
    """The densest element takes 3 bytes and copies 64."""

    def parameter_for(self, element: DTypeLike) -> int:
        """Return 0: all data is bytes."""
        return 0

    def encode(self, data: Buffer, level: int | None, parameter: int) -> Buffer:
        """Compress ``data``, which is below 4 GiB."""
        compressed: bytes = snappy.compress(data)
        return compressed

    def check_size(self, data: Buffer, decoded_bytes: int, parameter: int) -> None:
        """Raise ``CORRUPT_PAYLOAD`` unless the block's preamble says ``decoded_bytes``."""
        preamble_bytes = _decoded_bytes(data)
        if preamble_bytes != decoded_bytes:
            raise corrupt(f"snappy block of {preamble_bytes} bytes where {decoded_bytes} bytes were declared")
        check_ratio(self, data, decoded_bytes)

    def decode(self, data: Buffer, decoded_bytes: int, parameter: int) -> Buffer:
        """Decompress to exactly ``decoded_bytes``, or raise ``CORRUPT_PAYLOAD``."""
        self.check_size(data, decoded_bytes, parameter)
        try:
            decoded: bytes = snappy.uncompress(data)
        except snappy.UncompressError as error:
            raise corrupt(f"snappy block does not decode to {decoded_bytes} bytes: {error.__cause__}") from None
        if len(decoded) != decoded_bytes:
            raise corrupt(f"snappy block decodes to {len(decoded)} bytes, not to {decoded_bytes}")
        return decoded


def _decoded_bytes(data: Buffer) -> int:
    """Return the decoded size from the preamble: a little-endian base-128 number of at most five bytes."""
    size = 0
    for index, byte in enumerate(data[:_MAX_PREAMBLE_BYTES]):
        size |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return size
    raise corrupt("snappy block without a complete preamble")
