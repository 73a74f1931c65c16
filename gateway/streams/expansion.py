"""Expansion: bytes by which the newest versions of all states are larger decoded than as they were published.

Receivers that do not know the codec get such a version decoded, or as text. A codec makes 32,768 bytes of one at most
(zstd), so a few kilobytes could take gigabytes of memory.
"""

from __future__ import annotations

from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream


class Expansion:
    """Sum of the expansion of all ``state`` streams, and its bound.

    Args:
        limit_bytes: the bound; a single version may exceed it.

    Attributes:
        total_bytes: the sum.
    """

    __slots__ = ("_limit_bytes", "total_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.total_bytes = 0

    def replace(self, stream: Stream, published_bytes: int, decoded_bytes: int) -> None:
        """Count the version that is about to become the newest one of a stream, in place of the one before.

        Args:
            stream: the stream; of other kinds than ``state`` nothing is counted.
            published_bytes: size of the payload as it was published.
            decoded_bytes: size of the payload when it is decoded.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``; nothing has changed.
        """
        if stream.kind is not Kind.STATE:
            return
        expanded_bytes = max(0, decoded_bytes - published_bytes)
        others_bytes = self.total_bytes - stream.expanded_bytes
        if expanded_bytes and others_bytes and others_bytes + expanded_bytes > self._limit_bytes:
            problem = f"{stream.name}: a payload of {published_bytes} bytes that decodes to {decoded_bytes}"
            limit = f"beside others that expand by {others_bytes} exceeds max_expanded_bytes={self._limit_bytes}"
            raise RequestRefused(Code.LIMIT_EXCEEDED, f"{problem} {limit}: publish it plain")
        self.total_bytes = others_bytes + expanded_bytes
        stream.expanded_bytes = expanded_bytes

    def forget(self, stream: Stream) -> None:
        """Count a stream that has ended no more."""
        self.total_bytes -= stream.expanded_bytes
        stream.expanded_bytes = 0
