"""Headers of WebSocket messages from the server (RFC 6455, section 5.2): final, not masked."""

from __future__ import annotations

import struct
from functools import partial
from typing import Final

_BINARY = 0x82
_TEXT = 0x81
_SHORT = struct.Struct("!BB")
_MEDIUM = struct.Struct("!BBH")
_LONG = struct.Struct("!BBQ")


def _header(first: int, size: int) -> bytes:
    if size < 126:
        return _SHORT.pack(first, size)
    if size < 65536:
        return _MEDIUM.pack(first, 126, size)
    return _LONG.pack(first, 127, size)


binary_header: Final = partial(_header, _BINARY)
"""Return the header of a binary message of so many bytes."""

text_header: Final = partial(_header, _TEXT)
"""Return the header of a text message of so many bytes of UTF-8."""
