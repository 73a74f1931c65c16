"""Estimate of the other side's clock (spec section 9). Reads no clock itself."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.protocol.signals import Pong


@dataclass(slots=True, eq=False)
class ClockEstimate:
    """Clock offset and round trip, taken from the exchange of PING and PONG with the smallest round trip.

    The smaller the round trip, the less room there is for the two ways to differ: the offset of one exchange is wrong
    by at most half its round trip (RFC 5905, section 8).
    """

    offset_ns: int = 0
    """Other side's clock minus the own one; 0 before the first exchange."""
    rtt_ns: int | None = None
    """The smallest round trip so far; ``None`` before the first exchange."""

    def receive(self, pong: Pong, t3: int) -> None:
        """Take one exchange into account.

        An exchange with a negative round trip is left out: one of the clocks was set back meanwhile, or the other side
        claims to have held the PING for longer than it took.

        Args:
            pong: the answer, with the own ``t0``.
            t3: when PONG arrived, by the own clock: Unix time in ns.
        """
        rtt_ns = (t3 - pong.t0) - (pong.t2 - pong.t1)
        if rtt_ns < 0 or (self.rtt_ns is not None and rtt_ns >= self.rtt_ns):
            return
        self.rtt_ns = rtt_ns
        self.offset_ns = ((pong.t1 - pong.t0) + (pong.t2 - t3)) // 2
