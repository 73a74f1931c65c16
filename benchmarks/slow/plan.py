"""Bounds and sizes of ``make slow``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

RATE_HZ: Final = 200
"""Rate of the bystander's messages."""

RECEIVE_ALL_S: Final = 10.0
"""Longest time until a subscriber to all streams has the newest message of each."""
MANY_P99_MS: Final = 50.0
"""Highest p99 of the bystander meanwhile."""
LAGGING_P99_MS: Final = 20.0
"""Highest p99 of the bystander beside many lagging readers."""
RATIO: Final = 3.0
"""Highest ratio of the bystander's p99 beside a hostile client to the one without."""
MEMORY_RATIO: Final = 1.1
"""Highest ratio of the gateway's memory behind hostile clients to the one before, apart from :data:`HOLES_BYTES`."""
HOLES_BYTES: Final = 16_000_000
"""Freed memory that may stay as well, unless the attack names another size: Python gives memory back a megabyte at a
time, and a small object of the gateway that was made meanwhile lies in some of them."""
HEALTH_S: Final = 1.0
"""Longest time in which ``/healthz`` answers."""
GIVES_BACK_S: Final = 15.0
"""Time in which memory comes back, unless the attack names another one, which the documentation has."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a run."""

    streams: int = 99_999
    """Streams of ``many-streams``; with the bystander's own one, the default is the gateway's limit."""
    lagging_streams: int = 10_000
    """Streams of ``lagging-readers``."""
    readers: int = 50
    """Lagging readers of all of them."""
    seconds: float = 5.0
    """Length of each measurement of latency."""
