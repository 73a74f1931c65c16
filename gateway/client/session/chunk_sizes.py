"""Sizes of the chunks of large messages: that of WELCOME, and others that the gateway advises for some streams."""

from __future__ import annotations

from typing import Final

from gateway.protocol.wire import CHUNK_BYTES_MULTIPLE, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES

MAX_ADVISED: Final = 256
"""Streams for which advice is remembered: that of longest ago is forgotten, which is correct as well."""


class ChunkSizes:
    """Sizes of chunks on one connection (spec sections 3.1 and 7.6)."""

    def __init__(self) -> None:
        self._standing_bytes = self._most_bytes = MIN_CHUNK_BYTES
        self._advised_bytes: dict[str, int] = {}

    def agree(self, chunk_bytes: int, frame_bytes: int) -> int:
        """Take the size of WELCOME, or the nearest that there is, and return it.

        Args:
            chunk_bytes: the size.
            frame_bytes: largest payload of a frame.
        """
        self._most_bytes = min(frame_bytes, MAX_CHUNK_BYTES)
        self._standing_bytes = self._fitting(chunk_bytes)
        return self._standing_bytes

    def advise(self, stream: str, chunk_bytes: int | None) -> None:
        """Have the next large messages to a stream cut by another size; ``None``: by that of WELCOME again."""
        self._advised_bytes.pop(stream, None)
        if chunk_bytes is not None:
            self._advised_bytes[stream] = self._fitting(chunk_bytes)
            if len(self._advised_bytes) > MAX_ADVISED:
                del self._advised_bytes[next(iter(self._advised_bytes))]

    def of(self, stream: str) -> int:
        """Return the size of the chunks of the next large message to a stream."""
        return self._advised_bytes.get(stream, self._standing_bytes)

    def _fitting(self, chunk_bytes: int) -> int:
        """Return the nearest size that the protocol has, and whose chunks fit a WebSocket message."""
        return max(MIN_CHUNK_BYTES, min(chunk_bytes, self._most_bytes)) // CHUNK_BYTES_MULTIPLE * CHUNK_BYTES_MULTIPLE
