"""Spare memory: large buffers that are used again as soon as nobody refers to them.

New memory of half a megabyte costs as much as all that is done with it: the system maps it, page by page, and takes it
back right afterwards. Chunks leave, or are decoded into their array, so that one buffer or two do.
"""

from __future__ import annotations

import sys
from typing import Any, Final, cast

import numpy as np

from gateway.protocol.transfers import new_memory

_Array = np.ndarray[Any, np.dtype[np.uint8]]

SPARE_BUFFERS: Final = 4
"""Buffers that are kept: as many as a transport holds unsent."""
MAX_SPARE_BYTES: Final = 1024 * 1024 + 4096
"""Largest buffer that is kept: two chunks in one frame, and its headers."""
ROOM: Final = 8
"""Part of its size by which a payload may be smaller than its buffer: who keeps it counts the payload only."""


def _references(buffers: list[_Array]) -> list[int]:
    """Return how many references there are to each buffer, counted in the way that :data:`_UNUSED` was counted."""
    return [sys.getrefcount(buffer) for buffer in buffers]


_UNUSED: Final = _references([np.empty(1, np.uint8)])[0]
"""References to a buffer that nobody uses: of the list, and of those that count, which depend on the interpreter."""


class SpareMemory:
    """Buffers of one event loop: only one thread at a time takes them.

    Args:
        count: buffers that are kept.
        max_bytes: size of the largest one.
    """

    __slots__ = ("_buffers", "_count", "_max_bytes")

    def __init__(self, count: int = SPARE_BUFFERS, max_bytes: int = MAX_SPARE_BYTES) -> None:
        self._buffers: list[_Array] = []
        self._count = count
        self._max_bytes = max_bytes

    def take(self, size: int) -> memoryview:
        """Return a buffer of ``size`` bytes, of any content; it is used again when the last view of it is gone."""
        memory = self.find(size)
        if memory is None:
            memory = new_memory(size)
            self.keep(memory)
        return memory

    def find(self, size: int) -> memoryview | None:
        """Return a kept buffer of about this size that nobody uses; ``None``: there is none."""
        buffers = self._buffers
        for at, references in enumerate(_references(buffers)):
            if references == _UNUSED and size <= len(buffers[at]) <= size + size // ROOM:
                return buffers[at].data[:size]
        return None

    def keep(self, memory: memoryview) -> None:
        """Keep a new buffer, instead of the oldest: it is used again when its last view is gone."""
        buffer = cast(_Array, memory.obj)
        if len(buffer) <= self._max_bytes:
            kept = [each for each in self._buffers if each is not buffer]
            self._buffers = [*kept, buffer][-self._count :]

    def drop_unused(self) -> None:
        """Give back the buffers that nobody uses."""
        buffers = self._buffers
        self._buffers = [
            buffer for buffer, references in zip(buffers, _references(buffers), strict=True) if references > _UNUSED
        ]
