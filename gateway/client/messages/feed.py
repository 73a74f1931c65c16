"""An async iterator over a backlog, woken straight from the socket."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from gateway.client.messages.backlog import Backlog, Item
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.errors import InvalidArgument, UsageError

T = TypeVar("T", bound=Item)


class Feed(Generic[T]):
    """What one iterator reads. Everything runs on the loop.

    Attributes:
        backlog: what waits to be taken.
    """

    def __init__(self, bound: int, intake: ReadFlowControl) -> None:
        if bound < 1:
            raise InvalidArgument(f"buffer_bytes={bound}: at least 1 is needed")
        self.backlog: Backlog[T] = Backlog(bound, intake)
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._error: Exception | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._over

    def put(self, item: T) -> bool:
        """Take one item and wake who waits; False if there was no room (see :meth:`Backlog.put`)."""
        if self._over or not self.backlog.put(item):
            return False
        if self._waiter is not None:
            self._wake()
        return True

    def end(self, error: Exception | None = None) -> None:
        """Nothing more will come. What waits can still be taken; then the iterator ends, or raises ``error``."""
        if not self._over:
            self._over = True
            self._error = error
            self.backlog.release()
            self._wake()

    async def next(self) -> T:
        """The next item.

        Raises:
            StopAsyncIteration: there are no more.
            FrysError: what :meth:`end` was given.
        """
        while (item := self.backlog.take()) is None:
            await self._wait()
        return item

    async def several(self, limit: int) -> list[T]:
        """At least one item, and of those that are there enough for ``limit`` messages; empty if there are no more.

        Raises:
            FrysError: what :meth:`end` was given.
        """
        try:
            first = await self.next()
        except StopAsyncIteration:
            return []
        return [first, *self._take(limit - first.count)]

    def rest(self, limit: int) -> list[T]:
        """Of the items that are left after the loop has ended enough for ``limit`` messages; empty: there are no more.

        Raises:
            FrysError: what :meth:`end` was given.
        """
        items = self._take(limit)
        if not items and self._error is not None:
            raise self._error
        return items

    def _take(self, limit: int) -> list[T]:
        items: list[T] = []
        while limit > 0 and (item := self.backlog.take()) is not None:
            items.append(item)
            limit -= item.count
        return items

    async def _wait(self) -> None:
        if self._over:
            if self._error is not None:
                raise self._error
            raise StopAsyncIteration
        if self._waiter is not None:
            raise UsageError("another task iterates already; subscribe once for each")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
