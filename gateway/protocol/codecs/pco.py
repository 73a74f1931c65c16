"""``pco``: numbers by the Pco format (spec section 10). The best ratio for floats and token ids.

Byte codecs see repeated bytes only. Pco finds the step of the values, and the difference or the mixture of ranges that
describes them in the fewest bits, so that it also packs floats that hardly repeat a byte. Made for one sequence of
numbers: images and masks of ``uint8`` are not what it is good at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, PagingSpec, standalone, wrapped

from gateway.protocol.codecs.abc import check_ratio, corrupt
from gateway.protocol.dtypes import BYTE, DTypeLike, code_of, dtype_named, dtype_of
from gateway.protocol.wire import Buffer

_DEFAULT_LEVEL: Final = 8
_MAX_CHUNK_COUNT: Final = 65536
"""Most numbers in a chunk of the file. Pco's own default is four times as much: it gains nothing on chunks of 512 KiB,
and the same few bytes could declare four times as much (pcodec 1.1, 2026-11)."""
_MIN_CHUNK_COUNT: Final = 16384
"""Least numbers in a chunk that is not the last. 22 bytes of a chunk of one number announce a table that takes 30 us to
build: 64 KiB of such chunks have held up a loop for 90 ms."""

_MAGIC: Final = b"pco!"
_VERSION: Final = 3
_COUNT_AT: Final = 6
"""Place of the count of the numbers, behind magic number, version and the type that all chunks have (or 0)."""
_COUNT_BYTES: Final = 9
_WIDTH_BITS: Final = 6
_INNER_VERSION: Final = 4
_INNER_HEADER_BYTES: Final = 2
"""Version of the format within, behind the count, and a minor one."""
_CHUNK_HEADER_BYTES: Final = 4
"""Type of a chunk's numbers, and their count less one."""
_TYPES: Final = ("u32", "u64", "i32", "i64", "f32", "f64", "u16", "i16", "f16", "u8", "i8")
"""Types of numbers in the order of their codes, which start at 1."""
_MAX_PART_BYTES: Final = 64 * 1024
"""Bytes of a part of a file, beyond twice those of its numbers, that the library is given at first."""
_END: Final = 0
_PANIC: Final = "PanicException"


class Pco:
    """Pco files of levels 0 to 12, one for each payload or chunk.

    The parameter is the code of the dtype of the numbers. ``bfloat16`` is packed as ``uint16``. The real parts of
    complex numbers come first, then all imaginary parts. Bytes past the last complete element are appended unchanged.
    """

    name: Final = "pco"
    id: Final = 4
    levels: Final = range(13)
    parameters: Final = range(code_of(dtype_named("int8")), code_of(dtype_named("complex128")) + 1)
    max_ratio: Final = 30841
    """A chunk takes 17 bytes at least, for 65,536 numbers of 8 bytes."""

    def __init__(self) -> None:
        paging = PagingSpec.equal_pages_up_to(_MAX_CHUNK_COUNT)
        self._configs = [
            ChunkConfig(compression_level=level, paging_spec=paging, enable_8_bit=True) for level in self.levels
        ]

    def parameter_for(self, element: DTypeLike) -> int:
        """Return the code of the dtype; ``bool`` counts as ``uint8``."""
        return code_of(BYTE if element.kind == "b" else element)

    def encode(self, data: Buffer, level: int | None, parameter: int) -> Buffer:
        """Compress ``data``; level None is the default, 8. Levels up to 4 take half the time, from 9 on many times."""
        element = dtype_of(parameter)
        end = len(data) - len(data) % element.itemsize
        numbers = np.require(np.frombuffer(data, np.uint8, count=end).view(_packed(element)), requirements="A")
        if element.kind == "c":
            numbers = numbers.reshape(-1, 2).T.reshape(-1)
        config = self._configs[_DEFAULT_LEVEL if level is None else level]
        file: bytes = standalone.simple_compress(numbers, config)
        return file + bytes(data[end:]) if end < len(data) else file

    def check_size(self, data: Buffer, decoded_bytes: int, parameter: int) -> None:
        """Raise ``CORRUPT_PAYLOAD`` unless the header of the file counts the numbers of ``decoded_bytes``."""
        element = dtype_of(parameter)
        file_bytes = len(data) - decoded_bytes % element.itemsize
        if file_bytes <= _COUNT_AT or bytes(data[: len(_MAGIC) + 1]) != _MAGIC + bytes([_VERSION]):
            raise corrupt(f"{len(data)} bytes that are no pco file of version {_VERSION}")
        count = _count(data)
        if count != decoded_bytes // element.itemsize * _parts(element):
            raise corrupt(f"pco file of {count} numbers where {decoded_bytes} bytes of {element} were declared")
        check_ratio(self, data, decoded_bytes)

    def decode(self, data: Buffer, decoded_bytes: int, parameter: int) -> Buffer:
        """Decompress to exactly ``decoded_bytes``, or raise ``CORRUPT_PAYLOAD``."""
        self.check_size(data, decoded_bytes, parameter)
        element = dtype_of(parameter)
        rest = decoded_bytes % element.itemsize
        end, file_end = decoded_bytes - rest, len(data) - rest
        out = np.empty(decoded_bytes, np.uint8)
        numbers = out[:end].view(_packed(element))
        if element.kind == "c":
            parts = np.empty_like(numbers)
            _decompress(bytes(data[:file_end]), parts)
            numbers.reshape(-1, 2).T[:] = parts.reshape(2, -1)
        else:
            _decompress(bytes(data[:file_end]), numbers)
        out[end:] = np.frombuffer(data, np.uint8, offset=file_end) if rest else ()
        return out.data.toreadonly()


def _packed(element: DTypeLike) -> DTypeLike:
    """Return the dtype of the numbers that stand for an element: one that the library knows, of the same bits."""
    if element.kind == "c":
        return np.dtype(f"<f{element.itemsize // _parts(element)}")
    return np.dtype(f"<u{element.itemsize}") if element == dtype_named("bfloat16") else element


def _parts(element: DTypeLike) -> int:
    """Return how many numbers stand for an element."""
    return 2 if element.kind == "c" else 1


def _count(data: Buffer) -> int:
    """Return the count of a file's header: six bits, the width of the count less one, then the count itself."""
    bits = int.from_bytes(data[_COUNT_AT : _COUNT_AT + _COUNT_BYTES], "little")
    return bits >> _WIDTH_BITS & (1 << _count_width(data)) - 1


def _count_width(data: Buffer) -> int:
    return 1 + (data[_COUNT_AT] & (1 << _WIDTH_BITS) - 1)


def _decompress(file: bytes, numbers: npt.NDArray[Any]) -> None:
    """Fill ``numbers`` from a file that has exactly as many, or raise ``CORRUPT_PAYLOAD``."""
    problem = f"pco file of {len(file)} bytes does not decode to {len(numbers)} numbers of {numbers.dtype}"
    try:
        fault = _read_chunks(file, numbers)
    except (RuntimeError, IndexError) as error:
        raise corrupt(f"{problem}: {error}") from None
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise corrupt(f"{problem}: the library gave up: {error}") from None
    if fault:
        raise corrupt(f"{problem}: {fault}")


def _read_chunks(file: bytes, numbers: npt.NDArray[Any]) -> str:
    """Fill ``numbers`` from the chunks of a file, or return its fault.

    Chunk by chunk, because the library takes a file of any number of chunks, and ignores what stands behind its end.

    Raises:
        RuntimeError: a chunk is damaged.
        IndexError: the file ends before its end is marked.
    """
    name = f"{numbers.dtype.kind}{8 * numbers.itemsize}"
    code = 1 + _TYPES.index(name)
    if file[_COUNT_AT - 1] not in (0, code):
        return f"its numbers are of type {file[_COUNT_AT - 1]}"
    at = _COUNT_AT + -(-(_WIDTH_BITS + _count_width(file)) // 8)
    if file[at] != _INNER_VERSION:
        return f"its chunks are of version {file[at]}"
    reader, size = wrapped.FileDecompressor.new(file[at : at + _INNER_HEADER_BYTES])
    at += size
    done = 0
    while file[at] != _END:
        count = 1 + int.from_bytes(file[at + 1 : at + _CHUNK_HEADER_BYTES], "little")
        if file[at] != code or count > len(numbers) - done or count < min(_MIN_CHUNK_COUNT, len(numbers) - done):
            return f"it has {count} numbers of type {file[at]} behind {done}"
        part = numbers[done : done + count]
        chunk, at = _read_part(
            file, at + _CHUNK_HEADER_BYTES, part.nbytes, partial(reader.chunk_decompressor, dtype=name)
        )
        progress, at = _read_part(file, at, part.nbytes, partial(chunk.read_page_into, page_n=count, dst=part))
        if not progress.finished or progress.n_processed != count:
            return f"a chunk of {count} numbers has {progress.n_processed}"
        done += count
    return "" if (done, at + 1) == (len(numbers), len(file)) else f"it has {done}, and {at + 1} bytes"


def _read_part(file: bytes, at: int, plain_bytes: int, read: Callable[[bytes], tuple[Any, int]]) -> tuple[Any, int]:
    """Read the part of a file that begins at ``at``; returns what it says, and where it ends.

    Not all that follows is copied for each part: of a long file that would take longer than decoding.
    """
    size = 2 * plain_bytes + _MAX_PART_BYTES
    while at + size < len(file):
        try:
            found, used = read(file[at : at + size])
        except RuntimeError:  # a part that is longer, or damaged
            size *= 4
        else:
            return found, at + used
    found, used = read(file[at:])
    return found, at + used
