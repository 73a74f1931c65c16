"""Decode meter: the time that a client takes to decode payloads, and their bytes (spec section 7.10)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gateway.protocol.encoding import Encoding, decode
from gateway.protocol.transfers import Assembler, Chunk
from gateway.protocol.wire import Buffer


class DecodeMeter:
    """Sums over all threads. Plain payloads are not decoded, so they do not count.

    Args:
        now_ns: clock that nobody sets.
    """

    def __init__(self, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._nbytes = 0
        self._spent_ns = 0

    def sums(self) -> tuple[int, int]:
        """Return the decoded bytes so far, and the nanoseconds that they took."""
        with self._lock:
            return self._nbytes, self._spent_ns

    def decode(self, encoding: Encoding, data: Buffer, *, base: Buffer | None = None) -> Buffer:
        """Decode a payload; see :func:`gateway.protocol.encoding.decode`."""
        begun_ns = self._now_ns()
        payload = decode(encoding, data, base=base)
        self._add(encoding.decoded_bytes, begun_ns)
        return payload

    def assemble(self, assembler: Assembler, chunk: Chunk, *, base: Buffer | None = None) -> None:
        """Decode a chunk to its place; see :meth:`gateway.protocol.transfers.Assembler.receive`."""
        begun_ns = self._now_ns()
        assembler.receive(chunk, base=base)
        if chunk.encoding is not None:
            self._add(chunk.encoding.decoded_bytes, begun_ns)

    def _add(self, nbytes: int, begun_ns: int) -> None:
        spent_ns = self._now_ns() - begun_ns
        with self._lock:
            self._nbytes += nbytes
            self._spent_ns += spent_ns
