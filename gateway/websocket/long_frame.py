"""Long frame: a WebSocket frame that the library gets in fragments, as it comes (RFC 6455, section 5.4)."""

from __future__ import annotations

import struct
from typing import Final

from gateway.websocket.headers import CONTINUATION, FINAL, LONG, MASKED, OPCODE
from gateway.websocket.masking import MASK_BYTES

_FRAGMENT_HEADER: Final = struct.Struct("!BBQ")


class LongFrame:
    """Data frame that the library gets in fragments (RFC 6455, section 5.4).

    Args:
        first: its first byte.
        mask: its mask; empty if it has none.
    """

    __slots__ = ("_mask", "_opcode", "is_final")

    def __init__(self, first: int, mask: bytes) -> None:
        self.is_final = bool(first & FINAL)
        self._opcode = first & OPCODE
        self._mask = mask

    def header(self, nbytes: int, *, last: bool) -> memoryview:
        """Return the header of the fragment with the next ``nbytes`` bytes, which may be the last."""
        final = FINAL if last and self.is_final else 0
        masked = MASKED if self._mask else 0
        header = _FRAGMENT_HEADER.pack(self._opcode | final, masked | LONG, nbytes) + self._mask
        self._opcode = CONTINUATION
        turned = nbytes % MASK_BYTES
        self._mask = self._mask[turned:] + self._mask[:turned]
        return memoryview(header)
