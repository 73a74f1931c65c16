"""``lz4``: the LZ4 block format without a size (spec section 10). Fast both ways; the default for live streams."""

from __future__ import annotations

from typing import Final

import lz4.block

from gateway.protocol.codecs.abc import NO_PARAMETER, check_ratio, corrupt
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.wire import Buffer

_MAX_BLOCK_BYTES: Final = 0x7E000000
"""LZ4_MAX_INPUT_SIZE of the format."""


class Lz4:
    """LZ4 blocks. Levels 1 to 12 compress better and slower, -1 to -64 worse and faster ("acceleration")."""

    name: Final = "lz4"
    id: Final = 1
    levels: Final = range(-64, 13)
    parameters: Final = NO_PARAMETER
    max_ratio: Final = 255
    """Each further byte lengthens a match by 255 bytes."""

    def parameter_for(self, element: DTypeLike) -> int:
        """Return 0: all data is bytes."""
        return 0

    def encode(self, data: Buffer, level: int | None, parameter: int) -> Buffer:
        """Compress ``data``, which is at most 2,113,929,216 bytes."""
        compressed: bytes
        if not level:
            compressed = lz4.block.compress(data, store_size=False)
        elif level < 0:
            compressed = lz4.block.compress(data, mode="fast", acceleration=-level, store_size=False)
        else:
            compressed = lz4.block.compress(data, mode="high_compression", compression=level, store_size=False)
        return compressed

    def check_size(self, data: Buffer, decoded_bytes: int, parameter: int) -> None:
        """Raise ``CORRUPT_PAYLOAD`` if no block of this length decodes to so much; the format has no header to ask."""
        if decoded_bytes > _MAX_BLOCK_BYTES:
            raise corrupt(f"an lz4 block cannot hold {decoded_bytes} bytes")
        check_ratio(self, data, decoded_bytes)

    def decode(self, data: Buffer, decoded_bytes: int, parameter: int) -> Buffer:
        """Decompress to exactly ``decoded_bytes``, or raise ``CORRUPT_PAYLOAD``."""
        self.check_size(data, decoded_bytes, parameter)
        try:
            # The size is that of the output buffer: data that decodes to more is an error.
            decoded: bytes = lz4.block.decompress(data, uncompressed_size=decoded_bytes)
        except lz4.block.LZ4BlockError as error:
            raise corrupt(f"lz4 block of {len(data)} bytes does not decode to {decoded_bytes} bytes: {error}") from None
        if len(decoded) != decoded_bytes:
            raise corrupt(f"lz4 block decodes to {len(decoded)} bytes, not to {decoded_bytes}")
        return decoded
