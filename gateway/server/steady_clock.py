"""Steady clock: Unix time that does not jump when the machine's clock is set (spec section 9)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

logger = logging.getLogger(__name__)

ELAPSED_NS: Final[Callable[[], int]] = (
    partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns
)
"""Clock that nobody sets. On Linux it also counts the time for which the machine is suspended."""

SLEW: Final = 100e-6
"""Rate at which the steady clock follows the machine's: 0.1 ms a second, less than two good oscillators may differ."""
SLEWED_BELOW_NS: Final = 10_000_000_000
"""Difference up to which the steady clock follows; a larger one is a step, and stays until the gateway is restarted."""
STEP_NS: Final = 128_000_000
"""Difference that is taken for a step, and logged (the step threshold of RFC 5905)."""
MAX_FOLLOWED_NS: Final = 1_000_000_000
"""Time that counts between two corrections, so that one correction is at most 0.1 ms."""


class SteadyClock:
    """Unix time for deadlines and stamps, which clients measure their offset against.

    It is the machine's clock at the start of the gateway, and the time since then by a clock that nobody sets. If it
    jumped with the machine's clock, every client's offset would be wrong until its next heartbeat, and each deadline
    under way with it.

    Args:
        elapsed_ns: clock that nobody sets.
        wall_ns: the machine's Unix time.
    """

    def __init__(
        self, elapsed_ns: Callable[[], int] = ELAPSED_NS, wall_ns: Callable[[], int] = lambda: time.time_ns()
    ) -> None:
        self._elapsed_ns = elapsed_ns
        self._wall_ns = wall_ns
        self._followed_ns = elapsed_ns()
        self._start_ns = wall_ns() - self._followed_ns
        self._told_ns = 0

    def time_ns(self) -> int:
        """Return Unix time in ns."""
        return self._elapsed_ns() + self._start_ns

    @property
    def ahead_ns(self) -> int:
        """Nanoseconds by which the machine's clock is ahead."""
        return self._wall_ns() - self.time_ns()

    def follow(self) -> None:
        """Take up a little of a small difference, and log a step of the machine's clock; called about once a second."""
        elapsed_ns = self._elapsed_ns()
        most_ns = int(min(elapsed_ns - self._followed_ns, MAX_FOLLOWED_NS) * SLEW)
        self._followed_ns = elapsed_ns
        ahead_ns = self.ahead_ns
        if abs(ahead_ns) <= SLEWED_BELOW_NS:
            self._start_ns += max(-most_ns, min(most_ns, ahead_ns))
        if abs(ahead_ns - self._told_ns) >= STEP_NS:
            self._told_ns = ahead_ns
            logger.warning(
                "this machine's clock was set: it is %.3f s ahead of the gateway's, which does not jump; messages "
                "are stamped and deadlines judged by the gateway's clock (differences above %d s stay until it is "
                "restarted)",
                ahead_ns / 1e9,
                SLEWED_BELOW_NS // 10**9,
            )
