"""Plan of the measurement: the load, its bounds, and the values that processes exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from benchmarks.slow.bystander import Beat

MEMORY_LIMIT_BYTES: Final = 400 * 1024 * 1024
"""``memory_limit_bytes`` of the gateway."""
CONTROL_P99_MS: Final = 100.0
OVER: Final = 2.0
"""Offered load as a multiple of the load that the gateway can carry."""
COMMANDS: Final = Beat("command/all", "control", 100, "admin_panel", "workflow")


@dataclass(frozen=True, slots=True)
class Load:
    """Streams, their publishers and their readers."""

    streams: int = 40
    """Event streams and as many states, each pair with a publisher of its own."""
    event_bytes: int = 65536
    state_bytes: int = 16384
    dashboards: int = 200
    """Readers of all states that keep up."""
    slow_dashboards: int = 80
    """Readers of one event stream and its state each, who read :attr:`slow_bytes_per_s`."""
    slow_bytes_per_s: int = 100_000
    seconds: float = 8.0


class Taken(NamedTuple):
    """What the gateway has taken from the publishers in some time."""

    seconds: float
    offered: int
    """Pairs of an event and a state that were due."""
    taken: int
    """Pairs of these that the gateway has taken."""
    closed: int
    """Connections of dashboards that the gateway has closed."""
    refused: int
    """Messages that the gateway has refused."""


class Flood(NamedTuple):
    """Command to the load: publish."""

    seconds: float
    per_second: float
    """Pairs a second, of all publishers together; infinite: as fast as the gateway takes them."""
    slow: bool
    """Whether slow dashboards are there."""
