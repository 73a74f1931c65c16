"""Running checksum of a large message, computed while its chunks arrive (spec section 6.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.client.workers import WORKERS
from gateway.protocol.checksum import FAST, checksum_of
from gateway.protocol.transfers import Assembler

STEP_BYTES: Final = (256 if FAST else 4096) * 1024
"""Bytes that are computed at a time: while the cache has them, or so many that a hop to a thread does not count."""
INLINE_CHECKSUM_BYTES: Final = (4096 if FAST else 256) * 1024
"""Most bytes that are computed on the loop: 60 to 100 us."""


class RunningChecksum:
    """CRC-32 of the bytes that an assembler has received. Called on the loop; computes in threads what takes long.

    Args:
        assembler: receives the message; bytes that it has received must not change.
    """

    __slots__ = ("_assembler", "_checksum", "_done_bytes", "_then", "_working")

    def __init__(self, assembler: Assembler) -> None:
        self._assembler = assembler
        self._checksum = 0
        self._done_bytes = 0
        self._working = False
        self._then: Callable[[int], None] | None = None

    def advance(self) -> None:
        """Compute further if enough new bytes have arrived."""
        if not self._working and self._assembler.received_bytes - self._done_bytes >= STEP_BYTES:
            self._compute()

    def finish(self, then: Callable[[int], None]) -> None:
        """Call back with the checksum of the complete message, possibly before this method returns."""
        self._then = then
        if not self._working:
            self._compute()

    def _compute(self) -> None:
        received_bytes = self._assembler.received_bytes
        rest = self._assembler.received()[self._done_bytes :]
        self._done_bytes = received_bytes
        if len(rest) <= INLINE_CHECKSUM_BYTES:
            self._computed(checksum_of((rest,), self._checksum))
            return
        self._working = True
        work = WORKERS.run(checksum_of, (rest,), self._checksum)
        work.add_done_callback(lambda done: self._computed(done.result()))

    def _computed(self, checksum: int) -> None:
        self._checksum = checksum
        self._working = False
        if self._then is None:
            self.advance()
        elif self._done_bytes < self._assembler.received_bytes:
            self._compute()
        else:
            then, self._then = self._then, None  # it refers to the message, which refers to this checksum
            then(checksum)
