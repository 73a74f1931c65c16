"""Sample memory: slots for samples, shared by the gateway and the process that tries chains on them.

The memory has no name in any file system: it is gone with the two processes.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import Final

from gateway.protocol.wire import Buffer

SLOTS: Final = 16
"""Samples that wait for the process or are with it, all of the gateway."""
TRIED_BYTES: Final = 128 * 1024
"""Longest sample; a shorter payload is taken whole."""
SLOT_BYTES: Final = 2 * TRIED_BYTES
"""Size of a slot: a sample, and the same bytes of the previous version."""
MEMORY_BYTES: Final = SLOTS * SLOT_BYTES
"""Size of all slots."""

_PIECES_AT: Final = (0, 211, 467, 1009)
"""Places of the pieces, in parts of the last one: unevenly, as for :mod:`gateway.protocol.sampling`."""
_PIECE_MULTIPLE: Final = 16


class SampleMemory:
    """Memory of one process.

    Args:
        descriptor: file of the memory; ``None``: it is new.

    Raises:
        OSError: the system has no memory for it.

    Attributes:
        descriptor: the same, for the process that is to share it.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("frys-samples", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, MEMORY_BYTES)
        self.descriptor = descriptor
        self._map = mmap.mmap(descriptor, MEMORY_BYTES)
        self._view = memoryview(self._map)

    def slot(self, number: int) -> memoryview:
        """Return the bytes of a slot."""
        return self._view[number * SLOT_BYTES : (number + 1) * SLOT_BYTES]

    def fill(self, number: int, payload: Buffer, base: Buffer | None, most_bytes: int = TRIED_BYTES) -> tuple[int, int]:
        """Copy a sample of a payload into a slot, and the same bytes of its previous version behind it.

        Args:
            number: the slot.
            payload: flat bytes, decoded.
            base: those of the previous version; one of another size is left out.
            most_bytes: longest sample, :data:`TRIED_BYTES` at most.

        Returns:
            The bytes of the sample, and those of the previous version, 0 if there are none; of a closed memory 0, 0.
        """
        try:
            slot = self.slot(number)
        except ValueError:
            return 0, 0
        size = copy_pieces(payload, slot, most_bytes)
        if base is None or len(base) != len(payload):
            return size, 0
        return size, copy_pieces(base, slot[size:], most_bytes)

    def clear(self, number: int) -> None:
        """Leave nothing of a sample in its slot."""
        with contextlib.suppress(ValueError):  # it is closed
            self.slot(number)[:] = bytes(SLOT_BYTES)

    def close(self) -> None:
        """Give the memory back, as soon as no thread copies to it any more."""
        self._view.release()
        with contextlib.suppress(BufferError):
            self._map.close()


def copy_pieces(payload: Buffer, out: memoryview, most_bytes: int = TRIED_BYTES) -> int:
    """Copy a payload, or four pieces of one that is longer than a sample, and return their size."""
    data = memoryview(payload).cast("B")
    if len(data) <= most_bytes:
        out[: len(data)] = data
        return len(data)
    piece_bytes = most_bytes // len(_PIECES_AT)
    last, at = len(data) - piece_bytes, 0
    for place in _PIECES_AT:
        begin = last * place // _PIECES_AT[-1] // _PIECE_MULTIPLE * _PIECE_MULTIPLE
        out[at : at + piece_bytes] = data[begin : begin + piece_bytes]
        at += piece_bytes
    return at
