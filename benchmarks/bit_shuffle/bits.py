"""Bits: transposition of payloads by bits, as a filter would do it. Bit k of all elements stands together."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.protocol.wire import Buffer

_STEPS: Final = tuple(
    [
        (np.uint64(shift), np.uint64(mask))
        for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0))
    ]
)
"""Exchanges by which the 8 by 8 bits of a word change rows and columns."""
_PIECE: Final = 16 * 1024
"""Words that are exchanged at once: they stay in the cache."""


def bits_shuffled(data: Buffer, itemsize: int) -> bytes:
    """Return a payload with its bits in other places, in the same number of bytes.

    Args:
        data: flat bytes, a multiple of eight elements.
        itemsize: bytes of an element.
    """
    elements = np.frombuffer(data, np.uint8).reshape(-1, 8, itemsize)
    words = elements.transpose(2, 0, 1).copy().view(np.uint64).reshape(-1)
    _transpose(words)
    planes = words.view(np.uint8).reshape(itemsize, -1, 8).transpose(0, 2, 1)
    return planes.tobytes()


def bits_unshuffled(data: Buffer, itemsize: int) -> bytes:
    """Return the payload whose bits :func:`bits_shuffled` has moved."""
    planes = np.frombuffer(data, np.uint8).reshape(itemsize, 8, -1)
    words = planes.transpose(0, 2, 1).copy().view(np.uint64).reshape(-1)
    _transpose(words)
    return words.view(np.uint8).reshape(itemsize, -1, 8).transpose(1, 2, 0).tobytes()


def _transpose(words: npt.NDArray[np.uint64]) -> None:
    """Exchange rows and columns of the bits of each word."""
    for begin in range(0, len(words), _PIECE):
        piece = words[begin : begin + _PIECE]
        for shift, mask in _STEPS:
            moved = (piece ^ (piece >> shift)) & mask
            piece ^= moved ^ (moved << shift)
