"""Estimate of the other side's clock (spec section 9). Reads no clock itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.protocol.signals import Pong

PHI: Final = 15e-6
"""Frequency tolerance: seconds by which two clocks may drift apart in a second (RFC 5905, section 7.2)."""


@dataclass(slots=True, eq=False)
class ClockEstimate:
    """Clock offset, taken from the best exchange of PING and PONG, and the smallest round trip.

    The offset of one exchange is wrong by at most half its round trip (RFC 5905, section 8), and by :data:`PHI` a
    second more as it ages (section 10). The exchange with the smallest such bound stands. A newer one whose offset
    lies outside both bounds shows that the other clock was set or drifts faster: then the newer one stands.
    """

    offset_ns: int = 0
    """Other side's clock minus the own one; 0 before the first exchange."""
    rtt_ns: int | None = None
    """The smallest round trip so far; ``None`` before the first exchange."""
    _bound_ns: float = field(default=0.0, init=False)
    """Bound on the error of ``offset_ns`` at ``_measured_ns``."""
    _measured_ns: int = field(default=0, init=False)

    def receive(self, pong: Pong, t3: int) -> None:
        """Take one exchange into account.

        An exchange with a negative round trip is left out: the other clock was set meanwhile, or the other side claims
        to have held the PING for longer than it took.

        Args:
            pong: the answer, with the own ``t0``.
            t3: when PONG arrived, by the own clock in ns. The own clock must not be one that is set.
        """
        rtt_ns = (t3 - pong.t0) - (pong.t2 - pong.t1)
        if rtt_ns < 0:
            return
        offset_ns = ((pong.t1 - pong.t0) + (pong.t2 - t3)) // 2
        # 1 ns for the rounding of the offset.
        bound_ns = rtt_ns / 2 + 1
        if self.rtt_ns is not None:
            aged_ns = self._bound_ns + PHI * max(0, t3 - self._measured_ns)
            contradicts = abs(offset_ns - self.offset_ns) > bound_ns + aged_ns
            if bound_ns >= aged_ns and not contradicts:
                return
        self.rtt_ns = rtt_ns if self.rtt_ns is None else min(self.rtt_ns, rtt_ns)
        self.offset_ns, self._bound_ns, self._measured_ns = offset_ns, bound_ns, t3
