"""Headers of WebSocket frames (RFC 6455, section 5.2): their bits, and those of messages in one frame."""

from __future__ import annotations

import struct
from functools import partial
from typing import Final

FINAL: Final = 0x80
"""Bit of the first byte: the frame is the last of its message."""
OPCODE: Final = 0x0F
"""Bits of the first byte that hold the opcode."""
CONTINUATION: Final = 0x00
"""Opcode of a frame behind the first of its message."""
MASKED: Final = 0x80
"""Bit of the second byte."""
MEDIUM: Final = 126
"""Other bits of the second byte: the length follows in two bytes. Below it they are the length."""
LONG: Final = 127
"""Likewise: the length follows in eight bytes."""

_BINARY = 0x82
_TEXT = 0x81
_PING = 0x89
_SHORT_HEADER = struct.Struct("!BB")
_MEDIUM_HEADER = struct.Struct("!BBH")
_LONG_HEADER = struct.Struct("!BBQ")


def _header(first: int, masked: int, size: int) -> bytes:
    if size < MEDIUM:
        return _SHORT_HEADER.pack(first, masked | size)
    if size < 65536:
        return _MEDIUM_HEADER.pack(first, masked | MEDIUM, size)
    return _LONG_HEADER.pack(first, masked | LONG, size)


binary_header: Final = partial(_header, _BINARY, 0)
"""Return the header of a binary message of so many bytes."""

text_header: Final = partial(_header, _TEXT, 0)
"""Return the header of a text message of so many bytes of UTF-8."""

ping_header: Final = partial(_header, _PING, 0)
"""Return the header of a ping whose payload has so many bytes."""

masked_header: Final = partial(_header, _BINARY, MASKED)
"""Return the header of a masked binary message of so many bytes, behind which the mask follows."""
