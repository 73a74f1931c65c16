"""Transfer room: bounds the number of large messages under way, and their bytes together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TransferRoom:
    """Admission of large messages, in the order in which they ask. Everything runs on the loop.

    Args:
        max_transfers: large messages at a time.

    Attributes:
        max_bytes: bound on their payloads together, which one alone may exceed; ``None``: no bound. The value of the
            last WELCOME counts (spec section 6.6).
    """

    def __init__(self, max_transfers: int) -> None:
        self._max_transfers = max_transfers
        self._count = self._bytes = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self.max_bytes: int | None = None

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Wait for room for a payload of ``size`` bytes, and hold it as long as the context lasts."""
        if self._waiting or not self._fits(size):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((turn, size))
            try:
                await turn
            except BaseException:
                if turn.done() and not turn.cancelled():
                    self._leave(size)
                else:
                    self._waiting.remove((turn, size))
                    self._admit()
                raise
        else:
            self._enter(size)
        try:
            yield
        finally:
            self._leave(size)

    def _fits(self, size: int) -> bool:
        if not self._count:
            return True
        return self._count < self._max_transfers and (self.max_bytes is None or self._bytes + size <= self.max_bytes)

    def _enter(self, size: int) -> None:
        self._count += 1
        self._bytes += size

    def _leave(self, size: int) -> None:
        self._count -= 1
        self._bytes -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][1]):
            turn, size = self._waiting.popleft()
            if not turn.cancelled():
                self._enter(size)
                turn.set_result(None)
