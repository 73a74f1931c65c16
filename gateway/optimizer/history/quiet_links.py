"""Quiet links: rates of links on which no messages wait, which :mod:`gateway.connections.links` does not measure.

A socket that has 100 KB for a receiver on a line of 20 Mbit/s is busy for 40 ms, of which the gateway feels nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

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
EXACT_STEPS: Final = 8
"""Number of these times from which on the rate is exact."""
FAST_BYTES_PER_S: Final = 400e6
"""Rate from which on a receiver is on this machine, whatever bounds it."""
QUEUED_S: Final = 2e-3
QUEUED_BYTES: Final = 8 * 1024
"""Time that packets wait on a line, and bytes that do so, below which it does not bound the rate: acknowledgements take
a while over long ways, and where a system puts them off."""


class QuietRate(NamedTuple):
    """Rate at which a receiver takes bytes."""

    bytes_per_s: float
    """The rate; a lower bound unless it is exact."""
    is_exact: bool
    """Whether the socket was busy for so long that the steps of the system's clock do not matter."""


@dataclass(slots=True, eq=False)
class QuietLink:
    """Counts of one socket at the begin of two windows."""

    earlier: tuple[int, float] = (0, 0.0)
    """Bytes that were acknowledged, and time in which the socket was busy, at the begin of the earlier window."""
    later: tuple[int, float] = (0, 0.0)
    """The same of the later one."""
    later_s: float = 0.0
    """Time at which that began."""

    def rate(self, tcp: TcpInfo, now_s: float) -> QuietRate | None:
        """Take counts of the socket, and return the rate; ``None``: it is not known.

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
        queued_s = tcp.rtt_s - tcp.smallest_rtt_s
        if rate < FAST_BYTES_PER_S and (queued_s < QUEUED_S or rate * queued_s < QUEUED_BYTES):
            return None
        return QuietRate(rate, busy_s >= EXACT_STEPS * STEPS_S)


class QuietLinks:
    """Quiet links of a gateway, by the numbers of their connections."""

    def __init__(self) -> None:
        self._links: OrderedDict[int, QuietLink] = OrderedDict()

    def __len__(self) -> int:
        return len(self._links)

    def rate_of(self, number: int, tcp: TcpInfo | None, now_s: float) -> QuietRate | None:
        """Return the rate at which the receiver at the end of a connection takes bytes; ``None``: it is not known.

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
