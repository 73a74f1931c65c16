"""Photograph: decodes a baseline JPEG file, for the two that scikit-learn has; Pillow would be a dependency for these.

Huffman codes, quantized cosine coefficients and YCbCr colours, by ITU-T T.81 and JFIF: half a second each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]

SIDE: Final = 8
"""Pixels of a side of a block."""
_ORDER: Final = sorted(
    np.ndindex(SIDE, SIDE), key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1])
)  # the zigzag of T.81, figure A.6
_ZIGZAG: Final = np.array([row * SIDE + column for row, column in _ORDER])
_SOF0, _DHT, _SOS, _DQT = 0xC0, 0xC4, 0xDA, 0xDB


@dataclass(slots=True, eq=False)
class _Component:
    """Component of a photograph: Y, Cb or Cr."""

    across: int
    down: int
    quantization: int
    dc: int = 0
    ac: int = 0
    last: int = 0
    blocks: dict[tuple[int, int], list[int]] = field(default_factory=dict)


Codes = dict[tuple[int, int], int]
"""Symbols by the length and bits of their codes."""


def photograph(data: bytes) -> npt.NDArray[np.uint8]:
    """Return the pixels of a baseline JPEG file, shape ``(rows, columns, 3)``.

    Raises:
        ValueError: it is another kind of JPEG file.
    """
    tables: dict[int, Floats] = {}
    codes: dict[int, Codes] = {}
    components: dict[int, _Component] = {}
    rows = columns = 0
    at = 2
    while True:
        marker, size = struct.unpack_from(">xBH", data, at)
        body = data[at + 4 : at + 2 + size]
        at += 2 + size
        if marker == _DQT:
            for begin in range(0, len(body), 65):
                tables[body[begin] & 15] = np.frombuffer(body, np.uint8, 64, begin + 1)
        elif marker == _SOF0:
            rows, columns, count = struct.unpack_from(">xHHB", body)
            for number, sides, table in struct.iter_unpack("BBB", body[6 : 6 + 3 * count]):
                components[number] = _Component(sides >> 4, sides & 15, table)
        elif marker == _DHT:
            codes |= _codes(body)
        elif marker == _SOS:
            for number, pair in struct.iter_unpack("BB", body[1 : 1 + 2 * body[0]]):
                components[number].dc, components[number].ac = pair >> 4, 16 + (pair & 15)
            break
        elif 0xC1 <= marker <= 0xCF:
            raise ValueError(f"marker {marker:#x}: only baseline JPEG is decoded here")
    parts = list(components.values())
    widest, tallest = max(part.across for part in parts), max(part.down for part in parts)
    across, down = -(-columns // (SIDE * widest)), -(-rows // (SIDE * tallest))
    bits = _Bits(data[at:].replace(b"\xff\x00", b"\xff"))
    for unit in range(across * down):
        for part in parts:
            for row, column in np.ndindex(part.down, part.across):
                place = unit // across * part.down + row, unit % across * part.across + column
                part.blocks[place] = _block(bits, part, codes)
    planes = [_plane(part, tables[part.quantization], widest, tallest)[:rows, :columns] for part in parts]
    y, cb, cr = planes[0] + 128, planes[1], planes[2]
    colours = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


class _Bits:
    """Bits of the scan, the highest of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = self._held = self._count = 0

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        while self._count < count:
            self._held = self._held << 8 | self._data[self._at]
            self._at += 1
            self._count += 8
        self._count -= count
        value = self._held >> self._count
        self._held &= (1 << self._count) - 1
        return value

    def signed(self, count: int) -> int:
        """Return the next bits as T.81 writes numbers of either sign."""
        value = self.take(count) if count else 0
        return value if not count or value >> (count - 1) else value - (1 << count) + 1

    def symbol(self, codes: Codes) -> int:
        """Return the symbol of the next code."""
        code = 0
        for length in range(1, 17):
            code = code << 1 | self.take(1)
            if (length, code) in codes:
                return codes[length, code]
        raise ValueError("no code of 16 bits: the file is damaged")


def _codes(body: bytes) -> Iterator[tuple[int, Codes]]:
    """Yield the Huffman tables of a segment with their numbers, those of AC coefficients from 16 on."""
    at = 0
    while at < len(body):
        counts, symbols, code = body[at + 1 : at + 17], at + 17, 0
        found: Codes = {}
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                found[length, code] = body[symbols]
                symbols, code = symbols + 1, code + 1
            code <<= 1
        yield body[at], found
        at = symbols


def _block(bits: _Bits, part: _Component, codes: dict[int, Codes]) -> list[int]:
    """Return the quantized coefficients of the next block, in zigzag order."""
    part.last += bits.signed(bits.symbol(codes[part.dc]))
    found, at = [part.last] + [0] * 63, 1
    while at < 64:
        symbol = bits.symbol(codes[part.ac])
        zeros, size = symbol >> 4, symbol & 15
        if not size and zeros != 15:
            break
        at += zeros
        if size:
            found[at] = bits.signed(size)
        at += 1
    return found


def _plane(part: _Component, quantization: Floats, widest: int, tallest: int) -> Floats:
    """Return the pixels of a component, around 0, in the size of the photograph or a little larger."""
    down, across = (1 + max(sides) for sides in zip(*part.blocks, strict=True))
    coefficients = np.zeros((down, across, 64))
    for (row, column), block in part.blocks.items():
        coefficients[row, column, _ZIGZAG] = np.multiply(block, quantization)
    turns = np.arange(SIDE)
    basis = np.cos((2 * turns[None] + 1) * turns[:, None] * np.pi / (2 * SIDE)) / 2
    basis[0] /= np.sqrt(2)
    pixels = basis.T @ coefficients.reshape(down, across, SIDE, SIDE) @ basis
    plane = pixels.transpose(0, 2, 1, 3).reshape(SIDE * down, SIDE * across)
    return plane.repeat(tallest // part.down, axis=0).repeat(widest // part.across, axis=1)
