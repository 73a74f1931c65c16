"""Read flow control: decides when the socket is read (``spec/client.md`` section 5).

The module knows which readers are full and how many answers are awaited; it must not know messages. Its state outlives
connections.
"""

from __future__ import annotations

from collections.abc import Callable


class ReadFlowControl:
    """Flow control of the socket: full readers that must not lose messages stop it, unless an answer is awaited.

    A program that subscribes, and for each message awaits a publish, would wait forever if its full subscription kept
    the acknowledgement from being read. So a reader that is *full* stops the socket only while no answer is awaited;
    a reader that is *stuffed* (past twice its bound, and may not drop anything) always stops the socket.

    Args:
        apply: called on every change with whether to read.
        check: raises for a caller that must not wait for messages, in another process or event loop.

    Attributes:
        awaited: number of answers that callers wait for.
        check: see above.
        reading: whether the socket is read.
    """

    __slots__ = ("_apply", "_full", "_stuffed", "awaited", "check", "reading")

    def __init__(self, apply: Callable[[bool], None], check: Callable[[], None] = lambda: None) -> None:
        self._apply = apply
        self.check = check
        self._full: set[object] = set()
        self._stuffed: set[object] = set()
        self.awaited = 0
        self.reading = True

    def fill(self, reader: object, *, stuffed: bool = False) -> None:
        """Mark ``reader`` as full, or as stuffed."""
        self._full.add(reader)
        if stuffed:
            self._stuffed.add(reader)
        self._decide()

    def drain(self, reader: object) -> None:
        """Unmark ``reader``, which has room again or is gone; it need not have been full."""
        self._full.discard(reader)
        self._stuffed.discard(reader)
        self._decide()

    def expect_answer(self) -> None:
        """Count one more answer that is awaited."""
        self.awaited += 1
        if not self.reading:
            self._decide()

    def end_answer(self) -> None:
        """Count one answer that has arrived, or is not awaited any more."""
        self.awaited -= 1
        if not self.awaited and self._full:
            self._decide()

    def _decide(self) -> None:
        reading = not self._stuffed and (not self._full or self.awaited > 0)
        if reading != self.reading:
            self.reading = reading
            self._apply(reading)
