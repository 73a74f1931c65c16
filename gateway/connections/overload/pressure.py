"""Pressure: the measurements by which a gateway knows that it has more to do than it can."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pressure:
    """Measurements of one moment."""

    loop_lag_s: float
    """Lag of the event loop that stands (:attr:`~gateway.connections.overload.loop_lag.LoopLag.standing_s`)."""
    resident_bytes: int
    """Memory of the process; 0 if the system does not tell it."""
    queued_bytes: int
    """Bytes that wait: for receivers that lag, in histories, to be stored, and in views. Several receivers may share
    them, and each counts them."""
    memory_limit_bytes: float
    """Memory that the process is to stay within; infinite: there is no limit."""

    @property
    def memory_share(self) -> float:
        """Resident memory as a share of the limit."""
        return self.resident_bytes / self.memory_limit_bytes

    @property
    def queued_share(self) -> float:
        """Bytes that wait as a share of the limit."""
        return self.queued_bytes / self.memory_limit_bytes
