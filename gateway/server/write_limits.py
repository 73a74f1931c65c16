"""Write limits: bytes that may wait for one peer where nothing can pass them, by the rate at which it has read."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from gateway.connections.socket_counts import SocketCounts
from gateway.server.tcp_info import read_tcp_info

HELD_S: Final = 0.1
"""Time in which a peer reads the bytes that wait for it in this process at high water. Messages that would wait longer
belong to the outbox, where a newer version of a state takes the place of an older one, and control messages pass."""
MIN_HIGH_BYTES: Final = 64 * 1024
MAX_HIGH_BYTES: Final = 1024 * 1024
PARTS: Final = 4
"""High water as a multiple of low water."""


class WriteLimits(NamedTuple):
    """Limits of one connection."""

    high_bytes: int
    """Bytes in this process at which the connection falls behind."""
    low_bytes: int
    """Bytes in this process at which it goes on."""
    unsent_bytes: int
    """Bytes that the operating system takes beyond those that it has sent (TCP_NOTSENT_LOWAT, tcp(7)); 0: as many as
    fit into its buffer."""


SLOW_UNSENT_BYTES: Final = 16 * 1024
FIRST: Final = WriteLimits(MIN_HIGH_BYTES, MIN_HIGH_BYTES // PARTS, SLOW_UNSENT_BYTES)
"""Limits of a connection that has not fallen behind yet: a fast peer does so once, a slow one before its first states
are old."""
LEAST_TAKEN_BYTES: Final = 16 * 1024
"""Bytes that a peer's system takes in a pause, at least, for a rate: fewer tell more of packets than of the line."""


def limits_of(taken_bytes: int, seconds: float) -> WriteLimits:
    """Return the limits for a peer that has just taken ``taken_bytes`` in so many seconds."""
    held_bytes = HELD_S * taken_bytes / max(seconds, 1e-6)
    if held_bytes >= MAX_HIGH_BYTES:
        return WriteLimits(MAX_HIGH_BYTES, MAX_HIGH_BYTES // PARTS, 0)
    high_bytes = max(int(held_bytes), MIN_HIGH_BYTES)
    return WriteLimits(high_bytes, high_bytes // PARTS, SLOW_UNSENT_BYTES)


class BoundedSocket(Protocol):
    """Socket of a program or of an event loop."""

    def fileno(self) -> int:
        """Return the number of its file descriptor; -1 if it is closed."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option."""


def bound_unsent(tcp_socket: BoundedSocket | None, nbytes: int) -> None:
    """Bound the unsent bytes of a TCP socket; of one that listens, those of the sockets that it accepts.

    Args:
        tcp_socket: a socket; one that is closed, or of a system that has no such bound, stays as it is. ``None``: the
            transport has none any more.
        nbytes: see :attr:`WriteLimits.unsent_bytes`.
    """
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None and tcp_socket is not None and tcp_socket.fileno() >= 0:
        tcp_socket.setsockopt(socket.IPPROTO_TCP, option, nbytes)


class _Taken(NamedTuple):
    """Counts at one end of a pause."""

    acknowledged_bytes: int | None
    """Bytes that the peer's system has taken so far; ``None``: the system here does not count them."""
    waiting_bytes: int
    """Bytes that wait in this process."""


class DrainMeter:
    """Rate at which one peer takes bytes, measured whenever so much waits that writing is paused; and its limits.

    The bytes that the peer's system has acknowledged count, not those that have left this process: the system here
    takes some into its own buffers, however slow the line is. If it does not tell, the latter have to do.

    Args:
        transport: the transport of the loop.
        now_s: clock that nobody sets.

    Attributes:
        bytes_per_s: rate in the last pause; 0 before the first one that has shown it.
    """

    __slots__ = ("_before", "_limits", "_now_s", "_paused_s", "_transport", "bytes_per_s")

    def __init__(self, transport: asyncio.Transport, now_s: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._now_s = now_s
        self._limits = FIRST
        self._paused_s = 0.0
        self._before = _Taken(None, 0)
        self.bytes_per_s = 0.0

    def pause(self) -> None:
        """Take note that writing is paused."""
        self._before, self._paused_s = self._read(), self._now_s()

    def resume(self) -> WriteLimits:
        """Take note that writing goes on, and return the limits that are to be set."""
        before, now = self._before, self._read()
        elapsed_s = self._now_s() - self._paused_s
        if before.acknowledged_bytes is None or now.acknowledged_bytes is None:
            taken_bytes = max(0, before.waiting_bytes - now.waiting_bytes)
        else:
            taken_bytes = now.acknowledged_bytes - before.acknowledged_bytes
            if taken_bytes < LEAST_TAKEN_BYTES:
                return self._limits
        self.bytes_per_s = taken_bytes / max(elapsed_s, 1e-6)
        return limits_of(taken_bytes, elapsed_s)

    def _read(self) -> _Taken:
        tcp = read_tcp_info(self._transport.get_extra_info("socket"))
        return _Taken(None if tcp is None else tcp.acknowledged_bytes, self._transport.get_write_buffer_size())

    def set(self, limits: WriteLimits) -> None:
        """Set the limits of the transport; the loop may find that more waits than the new high water."""
        if limits.unsent_bytes != self._limits.unsent_bytes and not self._transport.is_closing():
            bound_unsent(self._transport.get_extra_info("socket"), limits.unsent_bytes)
        self._limits = limits
        self._transport.set_write_buffer_limits(limits.high_bytes, limits.low_bytes)


def socket_counts_of(transport: asyncio.Transport, meter: DrainMeter | None) -> SocketCounts:
    """Return the counts of the socket of a transport.

    Args:
        transport: the transport of the loop.
        meter: rate at which its peer reads; ``None``: writing has never been paused.
    """
    tcp = read_tcp_info(transport.get_extra_info("socket"))
    return SocketCounts(0.0 if meter is None else meter.bytes_per_s, tcp)
