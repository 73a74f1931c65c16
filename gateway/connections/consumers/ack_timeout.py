"""How long a receiver may be at one unit before it is delivered again (spec section 7.4)."""

from __future__ import annotations

from gateway.connections.consumers.in_flight import InFlight


class AckTimeout:
    """Looks now and then what a receiver is at, so that no unit needs a timer.

    Args:
        timeout_s: how long it may be at one delivery of a unit.
    """

    __slots__ = ("_at", "_since_s", "_timeout_s", "_tries")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._at: InFlight | None = None
        self._tries = 0
        self._since_s = 0.0

    def ends(self, at: InFlight | None, now_s: float) -> bool:
        """Whether the receiver has been at the same delivery for too long; it then begins anew.

        Args:
            at: what it is at; ``None``: nothing.
            now_s: seconds from some fixed moment.
        """
        if at is None or at is not self._at or at.tries != self._tries:
            self._at = at
            self._tries = 0 if at is None else at.tries
            self._since_s = now_s
            return False
        if now_s - self._since_s < self._timeout_s:
            return False
        self._at = None
        return True
