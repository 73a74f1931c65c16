"""Decides when the socket is read: the bound between the gateway and the application (``spec/client.md`` section 5).

Knows who is full and how many answers are awaited. Must not know what the messages are. It outlives connections.
"""

from __future__ import annotations

from collections.abc import Callable


class ReadFlowControl:
    """Stops reading while somebody who must not lose a message is full, but never starves those who await an answer.

    A program that subscribes, and for each message awaits a publish, would wait forever if its full subscription kept
    the acknowledgement from being read. So a reader that is *full* stops the socket only while no answer is awaited;
    one that is *stuffed* (past twice its bound, and may not drop anything) stops it always.
    """

    __slots__ = ("_apply", "_full", "_stuffed", "awaited", "reading")

    def __init__(self, apply: Callable[[bool], None]) -> None:
        """``apply`` is called with whether to read, on every change."""
        self._apply = apply
        self._full: set[object] = set()
        self._stuffed: set[object] = set()
        self.awaited = 0
        """Answers that somebody waits for."""
        self.reading = True

    def fill(self, reader: object, *, stuffed: bool = False) -> None:
        """``reader`` has no room left."""
        self._full.add(reader)
        if stuffed:
            self._stuffed.add(reader)
        self._decide()

    def drain(self, reader: object) -> None:
        """``reader`` has room again, or is gone. May be called for one that was not full."""
        self._full.discard(reader)
        self._stuffed.discard(reader)
        self._decide()

    def expect_answer(self) -> None:
        """One more answer is awaited."""
        self.awaited += 1
        if not self.reading:
            self._decide()

    def end_answer(self) -> None:
        """One answer came, or is not awaited any more."""
        self.awaited -= 1
        if not self.awaited and self._full:
            self._decide()

    def _decide(self) -> None:
        reading = not self._stuffed and (not self._full or self.awaited > 0)
        if reading != self.reading:
            self.reading = reading
            self._apply(reading)
