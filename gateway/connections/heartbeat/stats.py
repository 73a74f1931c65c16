"""Numbers of the heartbeat, for monitoring."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HeartbeatStats:
    """Counts since the gateway began."""

    pings: int = 0
    """Pings to clients."""
    silent: int = 0
    """Connections that were closed because nothing was received."""
    deaf: int = 0
    """Connections that were closed because PINGs that were read have not been answered."""
    vanished: int = 0
    """Connections of awaited clients that were closed because their systems acknowledged nothing."""
