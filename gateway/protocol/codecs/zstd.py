"""``zstd``: one Zstandard frame with its content size (RFC 8878; spec section 10). Best ratio for the time it takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Generic, TypeVar

import zstandard

from gateway.protocol.codecs.abc import NO_PARAMETER, check_ratio, corrupt
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.wire import Buffer

_DEFAULT_LEVEL: Final = 3
_MAX_SPARES: Final = 4


T = TypeVar("T")


class _Spares(Generic[T]):
    """Pool of unused contexts of the compression library.

    Threads must not share a context: payloads are encoded in worker threads, and two threads in one context corrupt
    both results. Making a context takes 10 to 20 us, as long as compressing 16 KiB with it. Therefore a call takes a
    spare context, or makes one, and gives it back. A deque's ``pop`` and ``append`` are atomic, and its length bounds
    the memory: of more contexts than that the oldest are dropped.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._spares: deque[T] = deque(maxlen=_MAX_SPARES)

    def take(self) -> T:
        """Return a context that no other call uses until the caller gives it back."""
        try:
            return self._spares.pop()
        except IndexError:
            return self._make()

    def give_back(self, context: T) -> None:
        """Leave a context to the next call. A failed call leaves it usable: every call resets the context."""
        self._spares.append(context)


class Zstd:
    """Zstandard frames of levels -7 (fastest) to 19; levels 20 to 22 take too much memory."""

    name: Final = "zstd"
    id: Final = 2
    levels: Final = range(-7, 20)
    parameters: Final = NO_PARAMETER
    max_ratio: Final = 32768
    """A block of 4 bytes repeats one byte up to 128 KiB times."""

    def __init__(self) -> None:
        self._decompressors = _Spares(zstandard.ZstdDecompressor)
        self._compressors = {
            level: _Spares(partial(zstandard.ZstdCompressor, level=level)) for level in self.levels if level
        }

    def parameter_for(self, element: DTypeLike) -> int:
        """Return 0: all data is bytes."""
        return 0

    def encode(self, data: Buffer, level: int | None, parameter: int) -> Buffer:
        """Compress ``data`` to one frame that names its content size; level 0 is the default, 3."""
        spares = self._compressors[level or _DEFAULT_LEVEL]
        compressor = spares.take()
        try:
            return compressor.compress(data)
        finally:
            spares.give_back(compressor)

    def check_size(self, data: Buffer, decoded_bytes: int, parameter: int) -> None:
        """Raise ``CORRUPT_PAYLOAD`` unless the frame's own header says ``decoded_bytes``."""
        try:
            content_bytes = zstandard.frame_content_size(data)
        except zstandard.ZstdError as error:
            raise corrupt(f"not a zstd frame: {error}") from None
        if content_bytes != decoded_bytes:
            size = "no content size" if content_bytes < 0 else f"a content size of {content_bytes} bytes"
            raise corrupt(f"zstd frame with {size} where {decoded_bytes} bytes were declared")
        check_ratio(self, data, decoded_bytes)

    def decode(self, data: Buffer, decoded_bytes: int, parameter: int) -> Buffer:
        """Decompress to exactly ``decoded_bytes``, or raise ``CORRUPT_PAYLOAD``."""
        # zstandard allocates the size in the frame's header and ignores max_output_size: check the header first.
        self.check_size(data, decoded_bytes, parameter)
        decompressor = self._decompressors.take()
        try:
            decoded = decompressor.decompress(data, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise corrupt(f"zstd frame does not decode to {decoded_bytes} bytes: {error}") from None
        finally:
            self._decompressors.give_back(decompressor)
        if len(decoded) != decoded_bytes:
            raise corrupt(f"zstd frame decodes to {len(decoded)} bytes, not to {decoded_bytes}")
        return decoded
