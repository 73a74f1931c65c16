"""Reader of TCP_INFO, which Linux counts for each socket (tcp(7), ``struct tcp_info`` in ``linux/tcp.h``)."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final, Protocol

from gateway.connections.socket_counts import TcpInfo

_LAYOUT: Final = struct.Struct("=7xB8xI4xI40xII24xI16xQ16xII8xQQQQ")
"""The fields that are read: flags, snd_mss, unacked, rtt, rttvar, total_retrans, bytes_acked, notsent_bytes, min_rtt,
delivery_rate, busy_time, rwnd_limited, sndbuf_limited. Kernels since Linux 4.10 have them there, and newer ones more
behind them."""
_SENT: Final = struct.Struct("=200xQQ")
"""bytes_sent and bytes_retrans, since Linux 4.19."""
_APPLICATION_LIMITED: Final = 0x01


class MeasuredSocket(Protocol):
    """Socket of a program or of an event loop."""

    def fileno(self) -> int:
        """Return the number of its file descriptor; -1 if it is closed."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Return the value of an option."""


def read_tcp_info(tcp_socket: MeasuredSocket | None) -> TcpInfo | None:
    """Return what the system counts of a TCP socket: 2 us, so not for all connections at once.

    Args:
        tcp_socket: a socket. ``None``: the transport has none any more.

    Returns:
        ``None`` if the socket is closed or is not one of TCP, and on a system without these counters.
    """
    if sys.platform != "linux" or tcp_socket is None or tcp_socket.fileno() < 0:
        return None
    try:
        data = tcp_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SENT.size)
    except OSError:
        return None
    return parse_tcp_info(data)


def parse_tcp_info(data: bytes) -> TcpInfo | None:
    """Return the values of ``struct tcp_info``; ``None`` if it is shorter: an older kernel."""
    if len(data) < _LAYOUT.size:
        return None
    values = _LAYOUT.unpack_from(data)
    flags, mss, unacked, rtt, deviation, retransmits, acknowledged, unsent, least, rate, busy, reader, buffer = values
    under_way_bytes = unacked * mss  # the count is of packets, which may be smaller
    if len(data) >= _SENT.size:
        sent_bytes, repeated_bytes = _SENT.unpack_from(data)
        under_way_bytes = max(0, sent_bytes - repeated_bytes - acknowledged)
    return TcpInfo(
        rtt_s=rtt / 1e6,
        rtt_deviation_s=deviation / 1e6,
        smallest_rtt_s=least / 1e6,
        delivery_bytes_per_s=float(rate),
        application_limited=bool(flags & _APPLICATION_LIMITED),
        retransmits=retransmits,
        unsent_bytes=unsent,
        unacknowledged_bytes=under_way_bytes,
        acknowledged_bytes=acknowledged,
        busy_s=busy / 1e6,
        reader_limited_s=reader / 1e6,
        buffer_limited_s=buffer / 1e6,
    )
