"""Gateway's clock, as a client knows it (spec section 9)."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.protocol.clock import ClockEstimate
from gateway.protocol.round_trip import NO_ROUND_TRIP, RoundTrip, read_round_trip, sampled
from gateway.protocol.signals import Pong

ELAPSED_NS: Final[Callable[[], int]] = (
    partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns
)
"""Clock that nobody sets. On Linux it also counts the time for which the machine is suspended."""


LATEST_NS: Final = 2**62
"""Latest time that is believed, in the year 2116: deadlines behind it still fit into frames."""


class GatewayClock:
    """Unix time by the gateway's clock.

    It is measured against a clock of this machine that nobody sets: a step of the wall clock changes nothing.

    Args:
        elapsed_ns: that clock.
        wall_ns: the machine's Unix time, for the times in PING and PONG, and until the first exchange.
    """

    __slots__ = ("_ahead_ns", "_elapsed_ns", "_estimate", "_round_trip", "_start_ns", "_wall_ns")

    def __init__(
        self, elapsed_ns: Callable[[], int] = ELAPSED_NS, wall_ns: Callable[[], int] = lambda: time.time_ns()
    ) -> None:
        self._elapsed_ns = elapsed_ns
        self._wall_ns = wall_ns
        self._start_ns = wall_ns() - elapsed_ns()
        self._ahead_ns = self._start_ns
        self._estimate = ClockEstimate()
        self._round_trip = NO_ROUND_TRIP

    def now_ns(self) -> int:
        """Return Unix time by the gateway's clock; by this machine's before the first exchange."""
        return self._elapsed_ns() + self._ahead_ns

    def local_ns(self) -> int:
        """Return Unix time by this machine's clock as it was when the session began: a later step is left out."""
        return self._elapsed_ns() + self._start_ns

    def receive(self, pong: Pong, arrived_ns: int) -> None:
        """Take one exchange into account; ``arrived_ns`` is the :meth:`local_ns` of its arrival."""
        self._estimate.receive(pong, arrived_ns)
        elapsed_ns = self._elapsed_ns()
        round_trip_ns = (arrived_ns - pong.t0) - (pong.t2 - pong.t1)
        self._round_trip = sampled(self._round_trip, round_trip_ns, elapsed_ns / 1e9)
        # Times that a gateway makes up are not to be times that the wire has no room for.
        self._ahead_ns = max(-elapsed_ns, min(self._start_ns + self._estimate.offset_ns, LATEST_NS - elapsed_ns))

    def ahead_of(self, other: GatewayClock) -> int:
        """Return the nanoseconds by which this clock is ahead of that of another session of this process."""
        return self._ahead_ns - other._ahead_ns

    @property
    def offset_ns(self) -> int:
        """Nanoseconds to add to this machine's present wall clock for the gateway's."""
        return self.now_ns() - self._wall_ns()

    @property
    def round_trip(self) -> RoundTrip | None:
        """The smoothed round trip; ``None`` before the first exchange."""
        return read_round_trip(self._round_trip)

    @property
    def rtt_ns(self) -> int | None:
        """The smallest round trip so far; ``None`` before the first exchange."""
        return self._estimate.rtt_ns
