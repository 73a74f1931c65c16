"""Pace: the time between two pings of one connection, by its client and by its link.

A ping costs the gateway some 20 us, both ways. A link is asked half as often after each answer that came in time, and
twice as often after one that was late or is missing; one whose round trip varies is not asked less often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.connections.validation import check_positive
from gateway.errors import InvalidArgument
from gateway.protocol.messages import ClientType
from gateway.protocol.round_trip import RoundTrip

INTERVALS: Final[Mapping[ClientType, float]] = {
    ClientType.WORKFLOW: 0.5,
    ClientType.AGENT: 1.0,
    ClientType.ADMIN_PANEL: 1.5,
    ClientType.EXTENSION: 2.0,
}
"""Heartbeat intervals between two pings, by the type of the client: others wait for what a workflow does."""

CALM: Final = range(-2, 3)
"""Doublings of this time, halvings if negative."""

LATE_DEVIATIONS: Final = 4
"""An answer is late if it takes longer than the smoothed round trip and so many deviations (RFC 6298, section 2)."""
LATE_S: Final = 0.1
"""Least delay that counts as late: a loop that is busy for a moment, on either side, is no bad link."""

STEADY_PART: Final = 0.25
"""Deviation of a steady round trip, at most, as a part of it."""
STEADY_S: Final = 0.025
"""Deviation that is steady in any case."""


@dataclass(frozen=True, slots=True)
class HeartbeatSettings:
    """Bounds on the time between two pings of the gateway to one client.

    Raises:
        InvalidArgument: a value is not positive, or the bounds are in the wrong order.
    """

    min_ping_interval_s: float = 5.0
    """Shortest time, for a link whose answers are late or missing."""
    max_ping_interval_s: float = 60.0
    """Longest time, for a link that is calm. A client that says nothing is asked sooner."""

    def __post_init__(self) -> None:
        check_positive(self, "min_ping_interval_s", "max_ping_interval_s")
        if self.min_ping_interval_s > self.max_ping_interval_s:
            problem = f"min_ping_interval_s is {self.min_ping_interval_s}"
            raise InvalidArgument(f"{problem}, above max_ping_interval_s {self.max_ping_interval_s}")


def ping_interval_s(client_type: ClientType, calm: int, interval_s: float, settings: HeartbeatSettings) -> float:
    """Return the seconds between two pings.

    Args:
        client_type: type of the client.
        calm: how often the time has been doubled; halved if negative.
        interval_s: the heartbeat interval.
        settings: bounds.
    """
    wanted_s = INTERVALS[client_type] * 2.0**calm * interval_s
    return min(max(wanted_s, settings.min_ping_interval_s), settings.max_ping_interval_s)


def calm_after(calm: int, round_trip_s: float | None, before: RoundTrip | None) -> int:
    """Return how often the time is doubled after an answer.

    Args:
        calm: how often it was doubled before.
        round_trip_s: time that the answer took; ``None``: it was not measured.
        before: round trip of the connection up to then.
    """
    if round_trip_s is not None and before is not None:
        if round_trip_s > before.smoothed_s + max(LATE_DEVIATIONS * before.deviation_s, LATE_S):
            return less_calm(calm)
        if before.deviation_s > max(STEADY_PART * before.smoothed_s, STEADY_S):
            return min(calm, 0)
    return min(calm + 1, CALM[-1])


def less_calm(calm: int) -> int:
    """Return how often the time is doubled after an answer that was late, or did not come."""
    return max(min(calm, 0) - 1, CALM[0])
