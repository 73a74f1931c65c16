"""Receive buffer: the messages that have arrived for one iterator, within a bound (``spec/client.md`` section 5).

Knows the contract of each kind when the application falls behind. Everything runs on the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, Protocol, Self, TypeVar

from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.errors import UsageError
from gateway.protocol.arguments import check_count
from gateway.protocol.messages import Kind

ITEM_OVERHEAD_BYTES: Final = 512
"""Cost of an item beside its payload."""
STUFFED: Final = 2
"""At so many times its bound a buffer is stuffed: see :meth:`ReceiveBuffer.put`."""
_STATE: Final = Kind.STATE


class BufferedItem(Protocol):
    """A message, a record batch, or a run of messages."""

    @property
    def stream(self) -> str:
        """Name of the stream."""

    @property
    def kind(self) -> Kind | None:
        """Delivery contract of the stream."""

    @property
    def epoch(self) -> int:
        """Incarnation of the stream."""

    @property
    def offset(self) -> int:
        """Offset of the first message."""

    @property
    def ack_handle(self) -> object | None:
        """Taker of the program's answer; ``None``: the program owes none."""

    @property
    def count(self) -> int:
        """Number of messages in the item."""

    @property
    def received_ns(self) -> int:
        """Time of arrival, by the gateway's clock."""

    @property
    def nbytes(self) -> int:
        """Received bytes that the item keeps alive, its payload at least."""

    def newest(self, *, complete: bool) -> Self:
        """Return the newest version in an item of a ``state`` stream, alone.

        Args:
            complete: the receiver does not get the version before it, so that a patch says nothing to the receiver.
        """


T = TypeVar("T", bound=BufferedItem)

MAX_VERSIONS: Final = 32
"""Versions that are taken at a time out of very many that wait."""
FEW_OF: Final = 16
"""Versions that have to wait for each one that is taken beside the first."""


class ReceiveBuffer(Generic[T]):
    """A queue bounded in bytes, which one task at a time reads, woken straight from the socket.

    Only the newest version of each ``state`` stream waits. A stream has one place in the queue, that of its oldest
    version which was not read: a stream that changes often neither passes the others nor holds them up.

    Args:
        bound: size in bytes at which the buffer is full.
        flow: stops reading when the buffer is full, and resumes it when there is room again.
        conflate: False: all versions of a ``state`` stream wait as long as the buffer is not full.

    Attributes:
        over: nothing more will come.
        bytes: size of everything in the buffer, overhead included.
        conflated: messages that were replaced by a newer one of their ``state`` stream.
        unreported: those of them that the gateway has not been told of, by stream.

    Raises:
        InvalidArgument: a bound that is no integer, or below 1.
    """

    __slots__ = (
        "_bound",
        "_conflate",
        "_error",
        "_flow",
        "_items",
        "_newest",
        "_places",
        "_pressing",
        "_waiter",
        "bytes",
        "conflated",
        "over",
        "unreported",
    )

    def __init__(self, bound: int, flow: ReadFlowControl, *, conflate: bool = True) -> None:
        self._bound = check_count("buffer_bytes", bound)
        self._flow = flow
        self._conflate = conflate
        self._items: deque[T | None] = deque()
        """Items in the order in which they are read; ``None`` is the place of the newest version of a stream."""
        self._places: deque[tuple[str, int, int]] = deque()
        """Streams of these places, in their order, with the time of arrival of the first version that waited there, and
        its offset."""
        self._newest: dict[str, T] = {}
        """Versions that wait at the place of their stream."""
        self._pressing = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self.over = False
        self.bytes = 0
        self.conflated = 0
        self.unreported: dict[str, int] = {}

    @property
    def oldest_ns(self) -> int | None:
        """Time since which the program has not taken the next item, by the gateway's clock; ``None``: there is none.

        Versions of a ``state`` stream that were replaced count: the program has been behind since the first of them.
        """
        if not self._items:
            return None
        item = self._items[0]
        return self._places[0][1] if item is None else item.received_ns

    def waiting(self, limit: int) -> tuple[dict[str, tuple[int, int]], bool]:
        """Return the epoch and the offset of the first message that waits of each stream, and whether these are all.

        Messages that the program answers are left out. Versions of a ``state`` stream that were replaced count: the
        first of them has waited.

        Args:
            limit: items that are looked at; those behind them are not.
        """
        found: dict[str, tuple[int, int]] = {}
        places = iter(self._places)
        for item in islice(self._items, limit):
            if item is None:
                stream, _, offset = next(places)
                found.setdefault(stream, (self._newest[stream].epoch, offset))
            elif item.ack_handle is None and item.stream not in found:
                found[item.stream] = item.epoch, item.offset
        return found, len(self._items) <= limit

    # Filling.

    def has_room(self, item: T) -> bool:
        """Return whether the bound decides about no part of this item: the buffer stays below the bound with it."""
        return self.bytes + item.nbytes + ITEM_OVERHEAD_BYTES < self._bound

    def put(self, item: T) -> bool:
        """Take one item, and wake the task that waits for it.

        A version of a ``state`` stream takes the place of the one before it, if that still waits. With
        ``conflate=False`` it does so from the bound on. Any other kind stops the reading of the socket at the bound.
        Reading continues while an answer is awaited, so items can still come: up to twice the bound they are taken;
        past it those of ``event`` streams, and those that are observed, are not, and for the others reading stops
        whatever is awaited.

        Returns:
            False if it was not taken: the buffer is over, or the item is a gap.
        """
        if self.over:
            return False
        if item.kind is _STATE:
            self._put_version(item)
        else:
            size, bound = self.bytes, self._bound
            # Once reading has stopped, what still comes was received before, and is taken.
            if size >= bound and size >= STUFFED * bound and self._flow.reading and _may_be_dropped(item):
                return False
            self._items.append(item)
            self.bytes = size = size + item.nbytes + ITEM_OVERHEAD_BYTES
            if size >= bound:
                self._pressing = True
                self._flow.fill(self, stuffed=size >= STUFFED * bound and not _may_be_dropped(item))
        if self._waiter is not None:
            self._wake()
        return True

    def end(self, error: Exception | None = None) -> None:
        """End the buffer. Items in it can still be taken; then reading ends, or raises ``error``."""
        if not self.over:
            self.over = True
            self._error = error
            self._release()
            self._wake()

    def fork(self, error: Exception) -> None:
        """Drop everything and end with ``error``: this is a forked process, and its parent reads."""
        self._items.clear()
        self._places.clear()
        self._newest.clear()
        self.bytes = 0
        self.over, self._error = True, error

    # Reading.

    def take(self) -> T | None:
        """Return the next item, or None if there is none now. Items of a stream come in their order."""
        if not self._items:
            return None
        item = self._items.popleft()
        if item is None:
            item = self._newest.pop(self._places.popleft()[0])
        self.bytes -= item.nbytes + ITEM_OVERHEAD_BYTES
        if self._pressing and self.bytes <= self._bound // 2:
            self._release()
        return item

    def peek(self) -> T | None:
        """Return the next item and leave it here; None if there is none now, or a newer version may replace it."""
        return self._items[0] if self._items else None

    async def next(self) -> T:
        """Wait for the next item and return it.

        Raises:
            StopAsyncIteration: there are no more.
            FrysError: the error that :meth:`end` was given.
            UsageError: another task waits already.
        """
        while (item := self.take()) is None:
            if self.over:
                if self._error is not None:
                    raise self._error.with_traceback(None)
                raise StopAsyncIteration
            self._flow.check()
            if self._waiter is not None:
                raise UsageError("another task or thread iterates already: subscribe once for each")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return item

    async def several(self, limit: int) -> list[T]:
        """Wait for an item; return it and those behind it, up to ``limit`` messages. Empty if there are no more.

        Behind the first item, a version that a newer one may replace stays in the buffer: outside it would grow old.
        A few versions come along if those of very many streams wait: they would hardly have been replaced.

        Raises:
            FrysError: the error that :meth:`end` was given.
        """
        try:
            first = await self.next()
        except StopAsyncIteration:
            return []
        versions = min(MAX_VERSIONS, len(self._places) // FEW_OF)
        return [first, *self._take_up_to(limit - first.count, versions)]

    def rest(self, limit: int) -> list[T]:
        """Return the next items after the loop has ended, up to ``limit`` messages. Empty if there are no more.

        Raises:
            FrysError: the error that :meth:`end` was given.
        """
        items = self._take_up_to(limit) or ([] if (version := self.take()) is None else [version])
        if not items and self._error is not None:
            raise self._error.with_traceback(None)
        return items

    def _take_up_to(self, limit: int, versions: int = 0) -> list[T]:
        """Return the next items, up to ``limit`` messages.

        Args:
            limit: see above.
            versions: most of them that a newer version could have replaced; the next such version ends the list.
        """
        items: list[T] = []
        while limit > 0 and self._items:
            if self._items[0] is None:
                if not versions:
                    break
                versions -= 1
            item = self.take()
            assert item is not None
            items.append(item)
            limit -= item.count
        return items

    def _put_version(self, item: T) -> None:
        """Put a version of a ``state`` stream in the place of the one that waits, or at the end of the queue."""
        stream = item.stream
        older = self._newest.get(stream)
        if older is None and not self._conflate and self.bytes < self._bound:
            self._items.append(item)
        else:
            first = item.offset
            if older is not None or item.count != 1:
                item = self._conflate_with(older, item)
            if older is None:
                self._items.append(None)
                self._places.append((stream, item.received_ns, first))
            self._newest[stream] = item
        self.bytes += item.nbytes + ITEM_OVERHEAD_BYTES

    def _conflate_with(self, older: T | None, item: T) -> T:
        """Return the newest version in an item, and count those that it replaces, ``older`` among them."""
        newest = item.newest(complete=older is not None)
        conflated = item.count - newest.count
        if older is not None:
            conflated += older.count
            self.bytes -= older.nbytes + ITEM_OVERHEAD_BYTES
        if conflated:
            self.conflated += conflated
            self.unreported[item.stream] = self.unreported.get(item.stream, 0) + conflated
        return newest

    def _release(self) -> None:
        """Let the socket be read again, as far as this buffer is concerned."""
        self._pressing = False
        self._flow.drain(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass(slots=True, eq=False)
class OnTheWay:
    """Messages of one session that have come and are not decoded yet."""

    messages: int = 0
    bytes: int = 0


class WatchedBuffer(ReceiveBuffer[T]):
    """Receive buffer that tells how much waits whenever the program has taken an item.

    Args:
        bound, flow, conflate: see :class:`ReceiveBuffer`.
        taken: called with the number of items that wait, and their bytes.

    Attributes:
        on_the_way: messages that count as waiting although they are not here yet; another object for each session.
    """

    __slots__ = ("_taken", "on_the_way")

    def __init__(
        self, bound: int, flow: ReadFlowControl, taken: Callable[[int, int], object], *, conflate: bool = True
    ) -> None:
        super().__init__(bound, flow, conflate=conflate)
        self._taken = taken
        self.on_the_way = OnTheWay()

    def take(self) -> T | None:
        """Return the next item, or None if there is none now."""
        item = super().take()
        if item is not None:
            self.tell()
        return item

    def tell(self) -> None:
        """Tell how much waits."""
        coming = self.on_the_way
        self._taken(len(self._items) + coming.messages, self.bytes + coming.bytes)


def _may_be_dropped(item: BufferedItem) -> bool:
    """Return whether an item may become a gap: of an ``event`` stream, or one that is observed."""
    kind = item.kind
    return kind is Kind.EVENT or (kind is not None and kind.acknowledged and item.ack_handle is None)
