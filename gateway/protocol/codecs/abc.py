"""What a codec is: two protocols, one for those that change the size and one for those that do not (spec section 10).

Implementations are stateless to their callers and safe to use from any thread: large payloads are encoded in workers.
"""

from __future__ import annotations

from typing import Protocol

from gateway.errors import Code, RequestRefused
from gateway.protocol.wire import Buffer


class Compressor(Protocol):
    """The last step of a chain: makes the data smaller."""

    @property
    def name(self) -> str:
        """As in negotiation and in :class:`gateway.protocol.encoding.Chain`."""

    @property
    def id(self) -> int:
        """As on the wire."""

    @property
    def levels(self) -> range:
        """The levels that it takes; empty if it has none."""

    @property
    def max_ratio(self) -> int:
        """How many bytes its format can make of one; a payload that declares more is lying."""

    def encode(self, data: Buffer, level: int | None) -> Buffer:
        """Compress ``data``; ``level`` None takes the format's own default. ``data`` may be returned itself."""

    def check_size(self, data: Buffer, decoded_bytes: int) -> None:
        """Refuse data whose own header contradicts ``decoded_bytes``, without decompressing.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``.
        """

    def decode(self, data: Buffer, decoded_bytes: int) -> Buffer:
        """Decompress to exactly ``decoded_bytes``; one output of that size is all that is allocated for it.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``, the data is damaged or decodes to another size.
        """


class Filter(Protocol):
    """A step that keeps the size and makes the data easier to compress."""

    @property
    def name(self) -> str:
        """As in negotiation and in :class:`gateway.protocol.encoding.Chain`."""

    @property
    def id(self) -> int:
        """As on the wire."""

    @property
    def parameters(self) -> range:
        """The values that its parameter may have."""

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
    """The error for encoded data that does not decode to its declared size."""
    return RequestRefused(Code.CORRUPT_PAYLOAD, message)


def base_size(base: Buffer | None) -> str:
    """The size of a delta's base, for error messages."""
    return "not known" if base is None else f"{len(base)} bytes"


def check_ratio(compressor: Compressor, data: Buffer, decoded_bytes: int) -> None:
    """Refuse a declared size that the format cannot reach from ``data``.

    Without this, a few bytes that declare the largest message would make the receiver allocate it.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``.
    """
    if decoded_bytes > len(data) * compressor.max_ratio:
        raise corrupt(f"{len(data)} bytes of {compressor.name} cannot decode to {decoded_bytes} bytes")
