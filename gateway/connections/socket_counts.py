"""Counts of the socket of one connection, as values that know no operating system."""

from __future__ import annotations

from typing import Final, NamedTuple


class TcpInfo(NamedTuple):
    """Counters of the operating system for one socket. Times are sums since the socket was opened."""

    rtt_s: float
    """Smoothed round trip of packets: without what waits in either program."""
    rtt_deviation_s: float
    smallest_rtt_s: float
    """Smallest round trip of the last minutes: the way without queues."""
    delivery_bytes_per_s: float
    """Newest rate at which bytes were acknowledged."""
    application_limited: bool
    """Whether that rate was bounded by what there was to send: then it says little about the line."""
    retransmits: int
    """Segments that were sent again."""
    unsent_bytes: int
    """Bytes in the socket that have not been sent."""
    unacknowledged_bytes: int
    """Bytes, at most, that were sent and not acknowledged."""
    acknowledged_bytes: int
    """Bytes that the peer's system has taken so far."""
    busy_s: float
    """Time in which something was to be sent or acknowledged."""
    reader_limited_s: float
    """Part of it in which the peer's window was full: its program did not read."""
    buffer_limited_s: float
    """Part of it in which the send buffer of the socket was too small."""


class SocketCounts(NamedTuple):
    """Counts of one socket, as far as they are known."""

    drained_bytes_per_s: float = 0.0
    """Rate at which the peer read when the transport was full last; 0 if it has not been."""
    tcp: TcpInfo | None = None
    """Counters of the operating system; ``None`` if it has none."""


NO_SOCKET_COUNTS: Final = SocketCounts()
"""Counts of a connection that has no socket."""
