"""Reorder buffer: finishes pieces of work in the order in which they came, although some take longer than others.

It keeps a stream in order while threads encode messages, in the gateway, or decode them, in the SDK.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable


class Slot:
    """Place in a :class:`ReorderBuffer`, reserved for work that is not done yet."""

    __slots__ = ("_buffer", "finish")

    def __init__(self, buffer: ReorderBuffer, finish: Callable[[], object] | None = None) -> None:
        self._buffer = buffer
        self.finish = finish

    def fill(self, finish: Callable[[], object]) -> None:
        """Call ``finish`` as soon as everything before this slot is finished; to be called once."""
        self.finish = finish
        self._buffer.advance()


class ReorderBuffer:
    """First-in, first-out queue of callbacks, in which a slot may be reserved before its callback is known."""

    __slots__ = ("_finishing", "_slots")

    def __init__(self) -> None:
        # Made by the first slot: a stream mostly needs none, and an empty one takes 624 bytes (CPython 3.11).
        self._slots: deque[Slot] | None = None
        self._finishing = False

    @property
    def idle(self) -> bool:
        """True if the buffer is empty, so that finished work need not pass through it."""
        return not self._slots

    def add_ready(self, finish: Callable[[], object]) -> None:
        """Call ``finish`` behind everything that came before: at once if the buffer is empty."""
        if self._slots:
            self._slots.append(Slot(self, finish))
        else:
            finish()

    def reserve(self) -> Slot:
        """Return a slot for work that takes longer; everything behind the slot waits until it is filled."""
        return self._insert(sys.maxsize)

    def reserve_next(self) -> Slot:
        """Return a slot before everything that waits, right behind the callback that is running now, if one is."""
        return self._insert(int(self._finishing))

    def _insert(self, at: int) -> Slot:
        slot = Slot(self)
        if self._slots is None:
            self._slots = deque()
        self._slots.insert(at, slot)
        return slot

    def advance(self) -> None:
        """Finish the first slots, as many as are filled; called by :meth:`Slot.fill`."""
        slots = self._slots
        if self._finishing or slots is None:
            return
        self._finishing = True
        try:
            while slots and (finish := slots[0].finish) is not None:
                # The slot stays the first meanwhile, so that work that its callback adds queues up behind it.
                finish()
                # An error that the callback holds may lead back to the slot.
                slots.popleft().finish = None
        except BaseException:
            slots.popleft()
            self._finishing = False
            self.advance()  # The caller gets the error; later slots do not wait for another call.
            raise
        self._finishing = False
