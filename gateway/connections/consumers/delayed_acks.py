"""Delayed acknowledgements: those of publishes are held back while receivers are behind (spec section 4.9)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from gateway.connections.outbound.connection import Connection
from gateway.protocol.signals import Ack


class DelayedAcks:
    """Acknowledgements to the publishers of one stream, in order.

    Args:
        behind: returns whether the receivers are behind.
        now_s: returns seconds from some fixed moment.
        max_hold_s: longest delay of one. Without a bound two programs that feed each other, and await their
            publishes, would wait for ever.
    """

    __slots__ = ("_behind", "_held", "_max_hold_s", "_now_s", "_open")

    def __init__(self, behind: Callable[[], bool], now_s: Callable[[], float], max_hold_s: float) -> None:
        self._behind = behind
        self._now_s = now_s
        self._max_hold_s = max_hold_s
        self._held: deque[tuple[float, Connection, Ack]] = deque()
        self._open = False

    def send(self, connection: Connection, ack: Ack) -> None:
        """Send an acknowledgement to a publisher, at once or when it may go on."""
        if not self._open and (self._held or self._behind()):
            self._held.append((self._now_s(), connection, ack))
        else:
            connection.send(ack)

    def flush(self) -> None:
        """Send the acknowledgements that need not be held back any more."""
        held = self._held
        if held:
            latest_s = self._now_s() - self._max_hold_s
            while held and (held[0][0] <= latest_s or not self._behind()):
                _, connection, ack = held.popleft()
                connection.send(ack)

    def release(self) -> None:
        """Send all, and hold none back from now on: receivers are not waited for any more."""
        self._open = True
        held, self._held = self._held, deque()
        for _, connection, ack in held:
            connection.send(ack)
