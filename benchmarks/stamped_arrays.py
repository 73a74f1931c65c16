"""Arrays of float32 noise that tell which message they are, and the check of the arrays that arrive."""

from __future__ import annotations

import functools
import itertools
import struct
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.processes import VerificationFailed

Array: TypeAlias = npt.NDArray[np.float32]

STAMP: Final = struct.Struct("<qqi")
"""First bytes of an array: the number of its message, when it was published (monotonic, ns), which noise it has."""
SMALLEST_BYTES: Final = 100
WHOLE_BYTES: Final = 1 << 20
"""Arrays up to this size are compared completely, larger ones in blocks: the first, the last, and some between."""

_BYTEWISE_BYTES: Final = 64 << 10
"""Up to this size a copy and a comparison of bytes cost less than the calls of a comparison in numpy."""
_MARK: Final = struct.Struct("<I")
_BLOCK: Final = 16 << 10
_BLOCKS: Final = 6
_PERIOD: Final = 4_194_301
"""Elements of noise, a prime: no two chunks of a larger array are alike, whatever their size."""
_STRIDE: Final = 1_000_003


@functools.cache
def _noise() -> Array:
    return np.random.default_rng(1).standard_normal(_PERIOD, np.float32)


def _content(index: int, count: int) -> Array:
    start = index * _STRIDE % _PERIOD
    if start + count <= _PERIOD:
        return _noise()[start : start + count].copy()  # each array is written to
    return np.resize(np.roll(_noise(), -start), count)


class StampedArrays:
    """Arrays of ``size`` bytes, each of other noise: nothing is gained by sending how one differs from another."""

    def __init__(self, size: int, count: int) -> None:
        elements = size // 4
        self.arrays: Final = [_content(index, elements) for index in range(count)]
        self.places: Final = (elements // 2, elements * 3 // 4, elements - 1)
        """Elements that hold a mark made of the number and the time: beyond the stamp, a message is wholly its own."""
        self._bytes: Final = [array.data.cast("B") for array in self.arrays]

    def stamp(self, index: int, number: int, time_ns: int) -> Array:
        """Write the number and the time into array ``index``, and return it; it must not be under way."""
        STAMP.pack_into(self._bytes[index], 0, number, time_ns, index)
        mark = (number * 2_654_435_761 ^ time_ns) & 0xFFFFFFFF
        for place in self.places:
            _MARK.pack_into(self._bytes[index], 4 * place, mark)
        return self.arrays[index]


class ArrivalCheck:
    """Check of all arrays that arrive: none lost, doubled, out of order or changed.

    Args:
        size: bytes of an array.
        count: number of different arrays of the publisher.
        series: number of publishing threads. Thread ``t`` numbers its messages ``t``, ``t + series``, and so on, and
            only the order within each is defined.
        conflated: true if newer messages may replace older ones: then numbers may be left out.
    """

    def __init__(self, size: int, count: int, series: int, *, conflated: bool) -> None:
        self.received = 0
        self._size = size
        self._expected = StampedArrays(size, count)
        self._series = series
        self._due = list(range(series))
        self._conflated = conflated

    def check(self, array: Array, number: int, time_ns: int, index: int) -> None:
        """Check an array, of which the stamp was read.

        Raises:
            VerificationFailed: the array is not the one that is due, or was changed.
        """
        due = self._due[number % self._series]
        if number < due:
            raise VerificationFailed(f"message {number} came again or late: {due} was due")
        if number > due and not self._conflated:
            raise VerificationFailed(f"message {number} came, {due} is lost")
        self._due[number % self._series] = number + self._series
        if not 0 <= index < len(self._expected.arrays) or not self._equal(
            array, self._expected.stamp(index, number, time_ns), number
        ):
            raise VerificationFailed(f"message {number} is not what was published")
        self.received += 1

    def finish(self, published: int, conflated: int = 0) -> None:
        """Check that all messages have come, apart from ``conflated`` ones."""
        if self.received + conflated != published:
            raise VerificationFailed(f"{self.received} of {published} messages came, {conflated} were conflated")

    def _equal(self, array: Array, expected: Array, number: int) -> bool:
        if array.dtype != expected.dtype or array.shape != expected.shape:
            return False
        if self._size <= _BYTEWISE_BYTES:
            return array.tobytes() == expected.tobytes()
        met: npt.NDArray[Any] = array.view(np.uint32)  # as numbers: a mark may be NaN
        words: npt.NDArray[Any] = expected.view(np.uint32)
        if self._size <= WHOLE_BYTES:
            return np.array_equal(met, words)
        last = len(words) - _BLOCK
        sampled = ((number * 7_919 + block * 15_485_863) % last for block in range(_BLOCKS))
        return all(met[place] == words[place] for place in self._expected.places) and all(
            np.array_equal(met[start : start + _BLOCK], words[start : start + _BLOCK])
            for start in itertools.chain((0, last), sampled)
        )
