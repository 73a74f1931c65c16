"""Write limits: bytes that may wait for one peer where nothing can pass them, by the rate at which it has read."""

from __future__ import annotations

import socket
from typing import Final, NamedTuple, Protocol

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


FIRST: Final = WriteLimits(256 * 1024, 64 * 1024, 128 * 1024)
"""Limits of a connection that has not fallen behind yet."""
SLOW_UNSENT_BYTES: Final = 16 * 1024


def limits_of(drained_bytes: int, seconds: float) -> WriteLimits:
    """Return the limits for a peer that has just read ``drained_bytes`` in so many seconds."""
    held_bytes = HELD_S * drained_bytes / max(seconds, 1e-6)
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
