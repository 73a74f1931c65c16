"""Checksum of a payload, CRC-32 (RFC 1952, section 8), read in order or from the end (spec section 6.3)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from gateway.protocol.wire import Buffer

try:
    from isal.isal_zlib import crc32
except ImportError:  # its wheels are for x86-64 and ARM64 only
    from zlib import crc32

FAST: Final = crc32 is not zlib.crc32
"""Whether checksums run at 40 GB/s, so that a hop to a thread would take longer, and not at 4 GB/s, as by zlib."""

_POLYNOMIAL: Final = 0xEDB88320
_PIECE_BYTES: Final = 256 * 1024
"""Bytes that are read at a time from the end on: a power of two, so that joining their checksums takes one step."""


def checksum_of(buffers: Sequence[Buffer], checksum: int = 0) -> int:
    """Return the CRC-32 of a payload, without the interpreter's lock.

    Args:
        buffers: the decoded payload; C-contiguous, of any item size.
        checksum: that of the bytes before it.
    """
    for buffer in buffers:
        checksum = crc32(buffer, checksum)
    return checksum


def checksum_from_the_end(buffers: Sequence[Buffer]) -> int:
    """Return the same as :func:`checksum_of`, reading the last bytes first.

    A payload that one thread sends from its beginning on, and another one reads from its end on, has changed meanwhile
    if the checksums of both differ. If they agree, the sent bytes are those that the payload had at some moment: of two
    bytes on both sides of a change, one is read before it by both, and the other behind it.

    Args:
        buffers: the decoded payload; C-contiguous, of any item size.
    """
    read = [(crc32(piece), len(piece)) for piece in _pieces_from_the_end(buffers)]
    checksum = 0
    for following, size in reversed(read):
        checksum = _followed_by_zeros(checksum, size) ^ following
    return checksum


def _pieces_from_the_end(buffers: Sequence[Buffer]) -> Iterator[memoryview]:
    for buffer in reversed(buffers):
        view = memoryview(buffer).cast("B")
        for end in range(len(view), 0, -_PIECE_BYTES):
            yield view[max(0, end - _PIECE_BYTES) : end]


def _followed_by_zeros(checksum: int, size: int) -> int:
    """Return the part of a checksum that does not depend on the ``size`` bytes that follow.

    CRC is linear: the checksum of A and B is this of A, added bit by bit to the checksum of B (as ``crc32_combine`` of
    zlib does, which Python does not offer).
    """
    power = 0
    while size:
        if size & 1:
            checksum = _times(_zeros(power), checksum)
        size >>= 1
        power += 1
    return checksum


@cache
def _zeros(power: int) -> tuple[int, ...]:
    """Return the matrix, by columns, that appends ``2**power`` zero bytes."""
    if power == 0:
        matrix = (_POLYNOMIAL, *(1 << bit for bit in range(31)))  # one zero bit
        for _ in range(3):
            matrix = tuple(_times(matrix, column) for column in matrix)
        return matrix
    half = _zeros(power - 1)
    return tuple(_times(half, column) for column in half)


def _times(matrix: tuple[int, ...], vector: int) -> int:
    product = 0
    for column in matrix:
        if vector & 1:
            product ^= column
        vector >>= 1
        if not vector:
            break
    return product
