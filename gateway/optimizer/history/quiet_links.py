"""Quiet links: rates of links on which no messages wait, which :mod:`gateway.connections.links` does not measure.

A socket that has 100 KB for a receiver on a line of 20 Mbit/s is busy for 40 ms, of which the gateway feels nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway.connections.socket_counts import TcpInfo

MAX_LINKS: Final = 4096
"""Connections of which counts are kept; the one that was looked at longest ago makes room."""
WINDOW_S: Final = 10.0
"""Time over which a rate is measured at least; at most some more than twice of it."""
LEAST_BYTES: Final = 1_000_000
LEAST_BUSY_S: Final = 0.05
"""Bytes, or time in which the socket was busy, from which a rate says something."""
STEPS_S: Final = 0.012
"""Time that may be missing in what the system counts as busy, in steps of 4 ms: a rate is a lower bound."""
NEAR_RTT_S: Final = 2e-3
"""Round trip up to which it does not bound the rate."""
PIPE_BYTES: Final = 8 * 1024
"""Bytes under way below which it does, over longer ways: small messages are waiting for it then."""


@dataclass(slots=True, eq=False)
class QuietLink:
    """Counts of one socket at the begin of two windows."""

    earlier: tuple[int, float] = (0, 0.0)
    """Bytes that were acknowledged, and time in which the socket was busy, at the begin of the earlier window."""
    later: tuple[int, float] = (0, 0.0)
    """The same of the later one."""
    later_s: float = 0.0
    """Time at which that began."""

    def rate(self, tcp: TcpInfo, now_s: float) -> float | None:
        """Take counts of the socket, and return the rate at which the receiver takes bytes; ``None``: not known.

        Args:
            tcp: the counts.
            now_s: a monotonic time.
        """
        counts = tcp.acknowledged_bytes, tcp.busy_s
        if now_s - self.later_s >= WINDOW_S and counts[0] - self.later[0] >= LEAST_BYTES:
            self.earlier, self.later, self.later_s = self.later, counts, now_s
        acknowledged_bytes, busy_s = counts[0] - self.earlier[0], max(0.0, counts[1] - self.earlier[1])
        if acknowledged_bytes <= 0 or (acknowledged_bytes < LEAST_BYTES and busy_s < LEAST_BUSY_S):
            return None
        rate = acknowledged_bytes / (busy_s + STEPS_S)
        return None if tcp.rtt_s > NEAR_RTT_S and rate * tcp.rtt_s < PIPE_BYTES else rate


class QuietLinks:
    """Quiet links of a gateway, by the numbers of their connections."""

    def __init__(self) -> None:
        self._links: OrderedDict[int, QuietLink] = OrderedDict()

    def __len__(self) -> int:
        return len(self._links)

    def rate_of(self, number: int, tcp: TcpInfo | None, now_s: float) -> float | None:
        """Return the rate at which the receiver at the end of a connection takes bytes; ``None``: not known.

        Args:
            number: number of the connection.
            tcp: counts of its socket; ``None``: the system has none.
            now_s: a monotonic time.
        """
        if tcp is None:
            return None
        link = self._links.get(number)
        if link is None:
            link = self._links[number] = QuietLink(later_s=now_s)
            if len(self._links) > MAX_LINKS:
                self._links.popitem(last=False)
        else:
            self._links.move_to_end(number)
        return link.rate(tcp, now_s)
