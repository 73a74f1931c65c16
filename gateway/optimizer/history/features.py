"""Features of payloads, from a sample of 4 KB: share of zeros, entropy of byte planes, likeness to the version before.

Some 60 us of a thread (2 cores, November 2026); a 64 KB sample took 311 us. The entropy of so few elements is a little
low where all values are equally frequent: 7.6 bits at 512 elements.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.optimizer.history.record import PayloadFeatures
from gateway.protocol.wire import Buffer

SAMPLE_BYTES: Final = 4096
"""Bytes that are looked at."""
PIECE_BYTES: Final = 256
"""Bytes of a piece; the pieces are spread evenly over the payload."""
MAX_ITEM_BYTES: Final = 16
"""Longest element; the bytes of longer ones count as elements."""

Elements = npt.NDArray[np.uint8]
"""Elements of a payload, shape ``(count, itemsize)``."""


def features_of(payload: Buffer, itemsize: int, base: Buffer | None = None) -> PayloadFeatures:
    """Return the features of a payload.

    Args:
        payload: flat bytes, decoded.
        itemsize: bytes of an element.
        base: the same bytes of the previous version; ``None``: there is none, or it is not known.
    """
    width = itemsize if 1 <= itemsize <= MAX_ITEM_BYTES else 1
    sample = sample_of(payload, width)
    if not len(sample):
        return PayloadFeatures()
    unchanged = repeated = None
    if base is not None and len(base) == len(payload):
        equal = (sample == sample_of(base, width)).all(axis=1)
        unchanged = float(equal.mean())
        per_piece = max(1, PIECE_BYTES // width)
        starts = np.arange(0, len(equal), per_piece)
        repeated = float(np.logical_and.reduceat(equal, starts).mean())
    return PayloadFeatures(
        zero_share=1.0 - float(sample.any(axis=1).mean()),
        unchanged_share=unchanged,
        repeated_share=repeated,
        plane_entropy_bits=plane_entropies_bits(sample),
    )


def sample_of(payload: Buffer, width: int) -> Elements:
    """Return some elements of a payload, shape ``(count, width)``: all of a short one, else pieces spread evenly."""
    data = np.frombuffer(payload, np.uint8)
    count = len(data) // width
    elements = data[: count * width].reshape(count, width)
    per_piece, pieces = max(1, PIECE_BYTES // width), SAMPLE_BYTES // PIECE_BYTES
    if count <= per_piece * pieces:
        return elements
    begins = [number * (count - per_piece) // (pieces - 1) for number in range(pieces)]
    return np.concatenate([elements[begin : begin + per_piece] for begin in begins])


def plane_entropies_bits(sample: Elements) -> tuple[float, ...]:
    """Return the entropy of each byte of the elements: of all first bytes, of all second ones, and so on."""
    count, width = sample.shape
    planes = sample + np.arange(0, 256 * width, 256, dtype=np.intp)
    counts: npt.NDArray[Any] = np.bincount(planes.ravel(), minlength=256 * width).reshape(width, 256)
    shares = counts / count
    entropies = -(shares * np.log2(shares, out=np.zeros_like(shares), where=counts > 0)).sum(axis=1)
    return tuple([abs(bits) for bits in entropies.tolist()])
