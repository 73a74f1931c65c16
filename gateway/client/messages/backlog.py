"""What has arrived and was not taken yet, within a bound (``spec/client.md`` section 5).

Knows the contract of each kind when the application falls behind; no loop, no sockets.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, Protocol, TypeVar

from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.protocol.messages import Kind

ITEM_OVERHEAD_BYTES: Final = 512
"""What an item costs beside its payload."""
STUFFED: Final = 2
"""At so many times its bound a backlog is stuffed: see :meth:`Backlog.put`."""


class Item(Protocol):
    """A message, a record batch, or a run of messages."""

    @property
    def stream(self) -> str:
        """The stream's name."""

    @property
    def kind(self) -> Kind | None:
        """The stream's delivery contract."""

    @property
    def count(self) -> int:
        """How many messages it is."""

    @property
    def nbytes(self) -> int:
        """What it holds of the received bytes, its payload at least."""


T = TypeVar("T", bound=Item)


class Backlog(Generic[T]):
    """A queue bounded in bytes.

    Attributes:
        bytes: what is in it.
        conflated: messages that were replaced by a newer one of their ``state`` stream.
    """

    __slots__ = ("_bound", "_intake", "_items", "_newest", "_pressing", "bytes", "conflated")

    def __init__(self, bound: int, intake: ReadFlowControl) -> None:
        self._bound = bound
        self._intake = intake
        self._items: deque[T] = deque()
        self._newest: dict[str, T] = {}
        self._pressing = False
        self.bytes = 0
        self.conflated = 0

    def has_room(self, item: T) -> bool:
        """Whether it is not full with this item either, so that its bound decides about no part of it."""
        return self.bytes + item.nbytes + ITEM_OVERHEAD_BYTES < self._bound

    def put(self, item: T) -> bool:
        """Take one item.

        At the bound, of a ``state`` stream only the newest item is kept from then on; any other kind stops the reading
        of the socket. Reading goes on while somebody awaits an answer, so items can still come: up to twice the bound
        they are taken; past it those of ``event`` streams are not, and for the other kinds reading stops whatever is
        awaited.

        Returns:
            False if it was not taken: a gap.
        """
        size = item.nbytes + ITEM_OVERHEAD_BYTES
        if self.bytes >= self._bound or self._newest:
            kind = item.kind
            if kind is Kind.STATE and (self.bytes >= self._bound or item.stream in self._newest):
                self._conflate(item, size)
                return True
            # Once reading has stopped, what still comes was received before, and is taken.
            if kind is Kind.EVENT and self.bytes >= STUFFED * self._bound and self._intake.reading:
                return False
        self._items.append(item)
        self.bytes += size
        if self.bytes >= self._bound and item.kind is not Kind.STATE:
            self._pressing = True
            self._intake.fill(self, stuffed=self.bytes >= STUFFED * self._bound and item.kind is not Kind.EVENT)
        return True

    def take(self) -> T | None:
        """The next item, or None. Items of a stream come in their order."""
        if self._items:
            item = self._items.popleft()
        elif self._newest:
            item = self._newest.pop(next(iter(self._newest)))
        else:
            return None
        self.bytes -= item.nbytes + ITEM_OVERHEAD_BYTES
        if self._pressing and self.bytes <= self._bound // 2:
            self.release()
        return item

    def release(self) -> None:
        """Let the socket be read again, as far as this backlog is concerned."""
        self._pressing = False
        self._intake.drain(self)

    def _conflate(self, item: T, size: int) -> None:
        older = self._newest.pop(item.stream, None)
        if older is not None:
            self.conflated += older.count
            self.bytes -= older.nbytes + ITEM_OVERHEAD_BYTES
        self._newest[item.stream] = item
        self.bytes += size
