"""``pco``: numbers by the Pco format (spec section 10). The best ratio for floats and token ids.

Byte codecs see repeated bytes only. Pco finds the step of the values, and the difference or the mixture of ranges that
describes them in the fewest bits, so that it also packs floats that hardly repeat a byte. Made for one sequence of
numbers: images and masks of ``uint8`` are not what it is good at.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, PagingSpec, standalone

from gateway.protocol.codecs.abc import check_ratio, corrupt
from gateway.protocol.dtypes import BYTE, DTypeLike, code_of, dtype_named, dtype_of
from gateway.protocol.wire import Buffer

_DEFAULT_LEVEL: Final = 8
_MAX_CHUNK_COUNT: Final = 65536
"""Most numbers in a chunk of the file. Pco's own default is four times as much: it gains nothing on chunks of 512 KiB,
and the same few bytes could declare four times as much (pcodec 1.1, 2026-11)."""

_MAGIC: Final = b"pco!"
_VERSION: Final = 3
_COUNT_AT: Final = 6
"""Place of the count of the numbers, behind magic number, version and the type that all chunks have (or 0)."""
_COUNT_BYTES: Final = 9
_WIDTH_BITS: Final = 6
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
        if bytes(data[: len(_MAGIC) + 1]) != _MAGIC + bytes([_VERSION]):
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
        # The library ignores what stands behind the end of a file: its last byte has to be that end.
        if data[file_end - 1] != _END:
            raise corrupt(f"pco file of {file_end} bytes without an end")
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
    width = 1 + (bits & (1 << _WIDTH_BITS) - 1)
    return bits >> _WIDTH_BITS & (1 << width) - 1


def _decompress(file: bytes, numbers: npt.NDArray[Any]) -> None:
    """Fill ``numbers`` from a file that has exactly as many, or raise ``CORRUPT_PAYLOAD``."""
    problem = f"pco file of {len(file)} bytes does not decode to {len(numbers)} numbers of {numbers.dtype}"
    try:
        progress = standalone.simple_decompress_into(file, numbers)
    except RuntimeError as error:
        raise corrupt(f"{problem}: {error}") from None
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise corrupt(f"{problem}: the library gave up: {error}") from None
    if not progress.finished or progress.n_processed != len(numbers):
        more = "" if progress.finished else ", and there are more"
        raise corrupt(f"{problem}: it has {progress.n_processed}{more}")
