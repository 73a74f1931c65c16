"""Taken rate: bytes a second that a receiver takes while many wait, measured from one look to the next by counters."""

from __future__ import annotations

from typing import Final

from gateway.connections.outbound.connection import Connection

SMOOTHING: Final = 0.3
"""Weight of a new rate."""


class TakenRate:
    """Rate of one connection.

    Args:
        connection: the connection.
        now_s: time of the first look.

    Attributes:
        bytes_per_s: the rate, smoothed; 0: it was not measured yet.
        taken_bytes: bytes that it has taken between the last two looks.
    """

    __slots__ = ("_connection", "_lagged", "_looked_s", "_taken_bytes", "bytes_per_s", "taken_bytes")

    def __init__(self, connection: Connection, now_s: float) -> None:
        self._connection = connection
        self._looked_s = now_s
        self._taken_bytes = connection.made_outbox().taken_bytes
        self._lagged = connection.lagging
        self.bytes_per_s = 0.0
        self.taken_bytes = 0

    def look(self, now_s: float) -> None:
        """Measure the time since the last look: it counts if the connection has lagged at both ends of it."""
        connection = self._connection
        span_s, self._looked_s = max(now_s - self._looked_s, 1e-3), now_s
        so_far_bytes = connection.made_outbox().taken_bytes
        self.taken_bytes, self._taken_bytes = so_far_bytes - self._taken_bytes, so_far_bytes
        if self.taken_bytes > 0 and connection.lagging and self._lagged:
            rate = self.taken_bytes / span_s
            self.bytes_per_s += (SMOOTHING if self.bytes_per_s else 1.0) * (rate - self.bytes_per_s)
        self._lagged = connection.lagging
