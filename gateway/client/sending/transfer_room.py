"""Transfer room: bounds the number of large messages under way, and their bytes together."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


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

    def taken(self, size: int) -> RoomTaken:
        """Return a context that waits for room for a payload of ``size`` bytes, and holds it as long as it lasts."""
        return RoomTaken(self, size)

    async def enter(self, size: int) -> None:
        """Wait for room for a payload, and take it until :meth:`leave`."""
        if self._waiting or not self._fits(size):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((turn, size))
            try:
                await turn
            except BaseException:
                if turn.done() and not turn.cancelled():
                    self.leave(size)
                else:
                    self._waiting.remove((turn, size))
                    self._admit()
                raise
        else:
            self._enter(size)

    def _fits(self, size: int) -> bool:
        if not self._count:
            return True
        return self._count < self._max_transfers and (self.max_bytes is None or self._bytes + size <= self.max_bytes)

    def _enter(self, size: int) -> None:
        self._count += 1
        self._bytes += size

    def leave(self, size: int) -> None:
        """Give the room for a payload back."""
        self._count -= 1
        self._bytes -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][1]):
            turn, size = self._waiting.popleft()
            if not turn.cancelled():
                self._enter(size)
                turn.set_result(None)


class RoomTaken:
    """Context in which a large message has room; no asynchronous generator, which the end of the loop would close.

    Args:
        room: the room.
        size: bytes of its payload.
    """

    __slots__ = ("_room", "_size")

    def __init__(self, room: TransferRoom, size: int) -> None:
        self._room = room
        self._size = size

    async def __aenter__(self) -> None:
        await self._room.enter(self._size)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.leave(self._size)
