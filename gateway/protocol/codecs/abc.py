"""Protocols of codecs: compressors, which change the size, and filters, which do not (spec section 10).

Implementations are stateless to their callers and safe to use from any thread: large payloads are encoded in workers.
"""

from __future__ import annotations

from typing import Final, Protocol

from gateway.errors import Code, RequestRefused
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.wire import Buffer

NO_PARAMETER: Final = range(1)
"""Parameters of compressors of bytes: 0."""


class Codec(Protocol):
    """Step of a chain, known by its name and its number."""

    @property
    def name(self) -> str:
        """Name in negotiation and in :class:`gateway.protocol.encoding.Chain`."""

    @property
    def id(self) -> int:
        """Number on the wire."""

    @property
    def parameters(self) -> range:
        """Values that the parameter may have."""


class Compressor(Codec, Protocol):
    """Last step of a chain: makes the data smaller."""

    @property
    def levels(self) -> range:
        """Levels of compression; empty if the format has none."""

    @property
    def max_ratio(self) -> int:
        """Decoded bytes that one encoded byte can stand for at most; a payload that declares more is lying."""

    def parameter_for(self, element: DTypeLike) -> int:
        """Return the parameter for data whose elements have this dtype."""

    def encode(self, data: Buffer, level: int | None, parameter: int) -> Buffer:
        """Compress ``data``; ``level`` None takes the format's own default. May return ``data`` itself."""

    def check_size(self, data: Buffer, decoded_bytes: int, parameter: int) -> None:
        """Refuse data whose own header contradicts ``decoded_bytes``, without decompressing.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``.
        """

    def decode(self, data: Buffer, decoded_bytes: int, parameter: int) -> Buffer:
        """Decompress to exactly ``decoded_bytes``; allocates the output, and at most as much besides.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``, the data is damaged or decodes to another size.
        """


class Filter(Codec, Protocol):
    """A step that keeps the size and makes the data easier to compress."""

    def filtered(self, element: DTypeLike) -> DTypeLike:
        """Return the dtype that filtered data has for the compressor, if its elements had this one before."""

    def encode_into(self, data: Buffer, out: memoryview, parameter: int, base: Buffer | None) -> None:
        """Write the filtered data to ``out``: flat, writable, of the same size, not overlapping.

        Args:
            base: the payload that the data is a delta to; used by delta filters only.

        Raises:
            InvalidArgument: the filter needs a base of the same size and did not get one.
        """

    def decode_into(self, data: Buffer, out: memoryview, parameter: int, base: Buffer | None) -> None:
        """Write the original data to ``out``: flat, writable, of the same size, not overlapping.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``, the base that the data refers to is missing or has another size.
        """


def corrupt(message: str) -> RequestRefused:
    """Return the error for encoded data that does not decode to its declared size."""
    return RequestRefused(Code.CORRUPT_PAYLOAD, message)


def base_size(base: Buffer | None) -> str:
    """Return the size of a delta's base, for error messages."""
    return "not known" if base is None else f"{len(base)} bytes"


def check_ratio(compressor: Compressor, data: Buffer, decoded_bytes: int) -> None:
    """Refuse a declared size that the format cannot reach from ``data``.

    Otherwise a few bytes that declare the largest message would make the receiver allocate it.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``.
    """
    if decoded_bytes > len(data) * compressor.max_ratio:
        raise corrupt(f"{len(data)} bytes of {compressor.name} cannot decode to {decoded_bytes} bytes")
