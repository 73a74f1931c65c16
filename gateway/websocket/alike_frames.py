"""Alike frames: small binary messages of one length from a client, unmasked and joined with numpy.

A publisher that does not pack its messages sends hundreds of them a read. Each costs 1 us where it is cut alone, but
0.06 us here (CPython 3.11, EPYC family 25, November 2026). Packed ones of a read become one long run.
"""

from __future__ import annotations

import struct
from typing import Any, Final, TypeAlias

import numpy as np

from gateway.protocol.wire import FRAME_START, padded
from gateway.websocket.masking import MASK_BYTES

ALIKE_FRAMES: Final = 24
"""Least number of frames of the protocol that are joined in this way: 12 take as long as one by one."""
MOST_FRAMES: Final = 2048
"""Most WebSocket frames that are joined at once: it takes some hundred microseconds."""
JOIN_COST: Final = 16
"""Cost of joining few frames, in frames that are cut one by one."""
PACKED_BYTES: Final = 512
"""Size from which on a payload may hold so many frames of the protocol that two are worth a look."""
MOST_PAYLOAD_BYTES: Final = 65_535
"""Largest payload: those of larger ones have longer headers, and hardly two of them come in one read."""
_FEW_FRAMES: Final = 64
"""Frames that are looked at first, so that those behind them cost nothing if they differ."""
_WORD_BYTES: Final = 4
_TWO_WORDS: Final = struct.Struct("<II")
_NONE: Final = memoryview(b"")

_Words: TypeAlias = np.ndarray[Any, np.dtype[np.uint32]]


def join_alike(source: memoryview, at: int, total: int, header: int, size: int) -> memoryview:
    """Return the payloads of the frames from ``at`` on that have the first bytes and the length of the first one.

    Each payload holds frames of the protocol of one length, as the first payload does.

    Args:
        source: bytes that were read.
        at: index of the first frame: final, binary, masked, and complete.
        total: index behind the bytes that were read.
        header: bytes of its header.
        size: bytes of its payload.

    Returns:
        a buffer of its own with the payloads one behind the other; an empty one if that are less than
        :data:`ALIKE_FRAMES` frames of the protocol. These have their true lengths, so that joining changes nothing.
    """
    if not FRAME_START.size <= size <= MOST_PAYLOAD_BYTES:
        return _NONE
    stride, payload_at = header + size, at + header
    known = (total - at) // stride
    mask, masked_length = _TWO_WORDS.unpack_from(source, payload_at - MASK_BYTES)
    frame_bytes = padded(mask ^ masked_length)
    if frame_bytes < FRAME_START.size or size % frame_bytes or known * size < ALIKE_FRAMES * frame_bytes:
        return _NONE
    least = max(frame_bytes - 7, FRAME_START.size)
    for most in (_FEW_FRAMES, MOST_FRAMES):
        count = min(known, most)
        masks = _words(source, payload_at - MASK_BYTES, stride, count)
        lengths = _words(source, payload_at, stride, count) ^ masks
        heads = np.ndarray((count,), f"<u{header - MASK_BYTES}", source, at, (stride,))
        alike = _leading((heads == heads[0]) & (lengths >= least) & (lengths <= frame_bytes))
        if alike < most:
            break
    payloads = np.ndarray((alike, size), np.uint8, source, payload_at, (stride, 1))
    joined: _Words = payloads.copy().view("<u4")
    joined ^= masks[:alike, None]
    if size > frame_bytes:
        packed = joined.reshape(-1, frame_bytes // _WORD_BYTES)[:, 0]
        alike = _leading((packed >= least) & (packed <= frame_bytes)) * frame_bytes // size
    return joined[:alike].view(np.uint8).reshape(-1).data if alike * size >= ALIKE_FRAMES * frame_bytes else _NONE


def _words(source: memoryview, at: int, stride: int, count: int) -> _Words:
    """Return the words at an index and at each stride behind it."""
    return np.ndarray((count,), "<u4", source, at, (stride,)).copy()


def _leading(alike: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    """Return the number of leading items that are true."""
    return len(alike) if alike.all() else int(alike.argmin())
