"""Masking: binary WebSocket frames of a client (RFC 6455 section 5.2), large ones without joining their buffers.

``ClientProtocol.send_binary`` of ``websockets`` takes one buffer and copies it three times (join, mask, ``BytesIO``).
This module copies a large buffer once, by masking it, which RFC 6455 demands of every client.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import Final

from websockets.frames import Opcode

from gateway.protocol.wire import Buffer

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without its C extension
    from websockets.utils import apply_mask

_SHORT: Final = struct.Struct("!BB4s")
_MEDIUM: Final = struct.Struct("!BBH4s")
_LONG: Final = struct.Struct("!BBQ4s")
_FIN_BINARY: Final = 0x80 | Opcode.BINARY
_MASKED: Final = 0x80

JOINED_BELOW: Final = 16 * 1024
"""Buffers below this are joined before they are masked: one call for many of them costs less than the copy."""


def masked_frame(buffers: Sequence[Buffer], size: int) -> list[bytes]:
    """Return one binary WebSocket message in one frame, as the bytes to write in order.

    Args:
        buffers: flat views of bytes, which may be reused as soon as this function returns.
        size: bytes of all buffers together.

    Returns:
        New bytes objects; the first starts with the frame's header.
    """
    key = os.urandom(4)
    if size < 126:
        header = _SHORT.pack(_FIN_BINARY, _MASKED | size, key)
    elif size < 65536:
        header = _MEDIUM.pack(_FIN_BINARY, _MASKED | 126, size, key)
    else:
        header = _LONG.pack(_FIN_BINARY, _MASKED | 127, size, key)
    if size < JOINED_BELOW or len(buffers) == 1:
        content = buffers[0] if len(buffers) == 1 else b"".join(buffers)
        masked = apply_mask(content, key)
        return [header + masked] if size < JOINED_BELOW else [header, masked]
    return [header, *_mask_parts(buffers, key)]


def _mask_parts(buffers: Sequence[Buffer], key: bytes) -> list[bytes]:
    parts: list[bytes] = []
    small: list[Buffer] = []
    small_bytes = 0
    for buffer in buffers:
        if len(buffer) < JOINED_BELOW:
            small.append(buffer)
            small_bytes += len(buffer)
            continue
        if small:
            parts.append(apply_mask(b"".join(small), key))
            key = _rotated(key, small_bytes)
            small, small_bytes = [], 0
        parts.append(apply_mask(buffer, key))
        key = _rotated(key, len(buffer))
    if small:
        parts.append(apply_mask(b"".join(small), key))
    return parts


def _rotated(key: bytes, size: int) -> bytes:
    """Return the key rotated by ``size`` bytes: octet i of a message is masked by octet i mod 4 of the key."""
    at = size % 4
    return key[at:] + key[:at]
