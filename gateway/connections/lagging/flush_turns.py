"""Flush turns: delivery classes that are flushed now, and those that a turn of the loop has no time for."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from gateway.connections.ports import Clock
from gateway.connections.turn_time import TurnTime

FLUSH_S: Final = 0.002
"""Time of a turn for flushes. Without it, a turn is as long as all writes that publishers have caused in it."""

FEW_MEMBERS: Final = 8
"""Members of a class that waits for no other one: a flush to them takes some ten microseconds."""


class Flushed(Protocol):
    """Delivery class."""

    name: str
    """Name of its stream or inbox."""

    def __len__(self) -> int:
        """Return the number of its members."""


D = TypeVar("D", bound=Flushed)


class HeldReading(Protocol):
    """Back-pressure on one publisher."""

    def hold(self, holder: object) -> None:
        """Read nothing more from the publisher."""

    def release(self, holder: object) -> None:
        """Read from the publisher again."""


class FlushTurns(Generic[D]):
    """Classes that wait for a turn with time for them, and their publishers, which are not read meanwhile.

    Classes wait while more is published than can be written. Then their publishers go at the pace of the writes, and
    nobody else notices.

    Args:
        clock: the time of a turn, and its end.
        flush: flushes what :meth:`take` returns.

    Attributes:
        left: the classes that wait since an earlier turn; the one that has waited longest comes first.
    """

    __slots__ = ("_call_soon", "_flush", "_held", "_is_called", "_names", "_taken", "_time", "left")

    def __init__(self, clock: Clock, flush: Callable[[], object]) -> None:
        self.left: OrderedDict[D, None] = OrderedDict()
        self._names: Counter[str] = Counter()
        """Number of these classes by the names of their streams."""
        self._held: deque[HeldReading] = deque()
        """Publishers that are not read; the one that has waited longest comes first."""
        self._time = TurnTime(clock, FLUSH_S)
        self._taken = 0
        """Classes with many members that were taken in this turn."""
        self._is_called = False
        """Whether the next turn goes on with the classes that are left."""
        self._call_soon = clock.call_soon
        self._flush = flush

    def take(self, waiting: list[D]) -> Iterator[D]:
        """Yield the classes to be flushed now, one after the other: first those that wait since an earlier turn.

        Once the time of the turn is over, no class with many members is taken, however often this method is called; but
        one is taken in each turn.

        Args:
            waiting: classes that have got messages since the last call. A caller that has only one flushes it itself,
                unless others are :attr:`left`.
        """
        left, time = self.left, self._time
        if not time.begun:
            self._taken = 0
        time.spent()  # its time begins
        before = self._taken
        while left and not (self._taken and time.spent()):
            self._taken += 1
            yield self._longest_waiting()
        for delivery in waiting:
            if len(delivery) <= FEW_MEMBERS:
                yield delivery
            elif left or (self._taken and time.spent()):
                self._leave(delivery)
            else:
                self._taken += 1
                yield delivery
        if left and not self._is_called:
            self._is_called = True
            self._call_soon(self._go_on)
        for _ in range(min(self._taken - before, len(self._held)) if left else len(self._held)):
            self._held.popleft().release(self)

    def _go_on(self) -> None:
        self._is_called = False
        if self.left:
            self._flush()

    def waits(self, name: str) -> bool:
        """Return whether a class of the stream of this name waits."""
        return name in self._names

    def hold_back(self, reading: HeldReading) -> None:
        """Read nothing more from a publisher to one of the classes that wait, until it is its turn."""
        reading.hold(self)
        self._held.append(reading)

    def _leave(self, delivery: D) -> None:
        if delivery not in self.left:
            self.left[delivery] = None
            self._names[delivery.name] += 1

    def _longest_waiting(self) -> D:
        delivery, _ = self.left.popitem(last=False)
        name = delivery.name
        self._names[name] -= 1
        if not self._names[name]:
            del self._names[name]
        return delivery
