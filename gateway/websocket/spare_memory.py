"""Spare memory: large buffers that are used again as soon as nobody refers to them.

New memory of half a megabyte costs as much as all that is done with it: the system maps it, page by page, and takes it
back right afterwards. Received chunks are copied into their array, and sent ones leave, so that one buffer or two do.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np

SPARE_BUFFERS: Final = 4
"""Buffers that are kept: as many as a transport holds unsent."""
MAX_SPARE_BYTES: Final = 1024 * 1024 + 4096
"""Largest buffer that is kept: two chunks in one frame, and its headers."""
ROOM: Final = 8
"""Part of its size by which a payload may be smaller than its buffer: who keeps it counts the payload only."""
_UNUSED: Final = 3
"""References to a buffer that nobody uses: of the list, of the loop over it, and of the call that counts them."""


class SpareMemory:
    """Buffers of one event loop: only one thread at a time takes them.

    Args:
        count: buffers that are kept.
        max_bytes: size of the largest one.
    """

    __slots__ = ("_buffers", "_count", "_max_bytes")

    def __init__(self, count: int = SPARE_BUFFERS, max_bytes: int = MAX_SPARE_BYTES) -> None:
        self._buffers: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
        self._count = count
        self._max_bytes = max_bytes

    def take(self, size: int) -> memoryview:
        """Return a buffer of ``size`` bytes, of any content; it is used again when the last view of it is gone."""
        for buffer in self._buffers:
            if size <= len(buffer) <= size + size // ROOM and sys.getrefcount(buffer) == _UNUSED:
                return buffer.data[:size]
        if size > self._max_bytes:
            return np.empty(size, np.uint8).data
        del self._buffers[: max(0, len(self._buffers) + 1 - self._count)]
        # Not zeroed, unlike a bytearray: every byte is written before it is read.
        fresh = np.empty(size, np.uint8)
        self._buffers.append(fresh)
        return fresh.data
