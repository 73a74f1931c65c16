"""Masking: binary WebSocket frames of a client (RFC 6455 section 5.2), large ones without joining their buffers.

``ClientProtocol.send_binary`` of ``websockets`` takes one buffer and copies it three times (join, mask, ``BytesIO``).
This module copies a large buffer once, by masking it, which RFC 6455 demands of every client.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final, cast

import numpy as np

from gateway.protocol.wire import Buffer
from gateway.websocket.headers import masked_header
from gateway.websocket.spare_memory import SpareMemory

try:
    from websockets.speedups import apply_mask as _library_mask
except ImportError:  # built without its C extension
    from websockets.utils import apply_mask as _library_mask

# The library's annotation asks for bytes; the function takes any buffer.
apply_mask: Final = cast(Callable[[Buffer, bytes], bytes], _library_mask)
"""Return a masked, or unmasked, copy of a buffer."""

MASK_BYTES: Final = 4
"""Bytes of a mask (RFC 6455 section 5.3)."""
SPARE_FROM: Final = 64 * 1024
"""Buffers from this size on are masked into memory that was used before: it takes less than to get new memory."""
JOINED_BELOW: Final = 16 * 1024
"""Buffers below this are joined before they are masked: one call for many of them costs less than the copy."""


def masked_frame(buffers: Sequence[Buffer], size: int, spare: SpareMemory) -> list[Buffer]:
    """Return one binary WebSocket message in one frame, as the bytes to write in order.

    Args:
        buffers: flat views of bytes, which may be reused as soon as this function returns.
        size: bytes of all buffers together.
        spare: memory for large buffers; of one thread at a time.

    Returns:
        Buffers that belong to the caller; the first starts with the frame's header.
    """
    key = os.urandom(MASK_BYTES)
    header = masked_header(size) + key
    if size < JOINED_BELOW or len(buffers) == 1:
        content = buffers[0] if len(buffers) == 1 else b"".join(buffers)
        return [header + apply_mask(content, key)] if size < JOINED_BELOW else [header, _masked(content, key, spare)]
    return [header, *_mask_parts(buffers, key, spare)]


def _mask_parts(buffers: Sequence[Buffer], key: bytes, spare: SpareMemory) -> list[Buffer]:
    parts: list[Buffer] = []
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
        parts.append(_masked(buffer, key, spare))
        key = _rotated(key, len(buffer))
    if small:
        parts.append(apply_mask(b"".join(small), key))
    return parts


def _masked(buffer: Buffer, key: bytes, spare: SpareMemory) -> Buffer:
    """Return a masked copy, of a large buffer in memory that was used before."""
    size = len(buffer)
    if size < SPARE_FROM:
        return apply_mask(buffer, key)
    masked = spare.take(size)
    mask_into(masked, buffer, key)
    return masked


def mask_into(out: memoryview, buffer: Buffer, key: bytes) -> None:
    """Write a buffer, masked or unmasked, into one of the same size, which may be itself (RFC 6455 section 5.3)."""
    words = len(buffer) // len(key)
    key_word = np.frombuffer(key, np.uint32)[0]
    np.bitwise_xor(np.frombuffer(buffer, np.uint32, words), key_word, out=np.frombuffer(out, np.uint32, words))
    for at in range(words * len(key), len(buffer)):
        out[at] = buffer[at] ^ key[at % len(key)]


def _rotated(key: bytes, size: int) -> bytes:
    """Return the key rotated by ``size`` bytes: octet i of a message is masked by octet i mod 4 of the key."""
    at = size % MASK_BYTES
    return key[at:] + key[:at]
