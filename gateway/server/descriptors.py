"""File descriptors of the process: their limit, and the reserve that sockets of clients leave to everything else."""

from __future__ import annotations

import math
import os
import resource
from contextlib import suppress
from typing import Final

MAX_RESERVE: Final = 128
"""Descriptors that are kept free for the admin port, the store and the files of the process."""

RESERVED_PART: Final = 8
"""One in so many descriptors is kept free if the limit is low."""

HIGHEST_STANDARD: Final = 2
"""Number of the standard error output."""

LOG_INTERVAL_S: Final = 60.0
"""Shortest time between two log lines about refused sockets."""


def fill_standard_descriptors() -> None:
    """Open those of the descriptors 0 to 2 with which the process was not started; libuv aborts if one is a socket."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= HIGHEST_STANDARD:
        pass
    os.close(descriptor)


def raise_descriptor_limit() -> None:
    """Raise the process's own limit of file descriptors to the highest that the system allows it (``ulimit -Hn``)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS calls its highest limit infinite, and refuses it.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptor_limit() -> float:
    """Return the number of file descriptors that this process may have; infinite if nothing limits it."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else soft


class DescriptorReserve:
    """File descriptors that sockets of clients leave free.

    A process without descriptors cannot accept a connection: libuv then closes all that wait, and tells nobody. With
    some in reserve the gateway refuses them itself: the client gets an answer, and the operator a count. The system
    gives each new socket the lowest free number, so the number alone tells how many are in use.

    Args:
        limit: file descriptors that the process may have.

    Attributes:
        refused: sockets that were refused.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._admitted = limit - min(MAX_RESERVE, limit // RESERVED_PART)
        self._next_log_s = -math.inf
        self.refused = 0

    def admits(self, descriptor: int) -> bool:
        """Return whether a socket with this descriptor may stay; count it if not."""
        if descriptor < self._admitted:
            return True
        self.refused += 1
        return False

    def report(self, now_s: float) -> str | None:
        """Return the line to log about the refused sockets; ``None`` if one was logged a short time ago."""
        if now_s < self._next_log_s:
            return None
        self._next_log_s = now_s + LOG_INTERVAL_S
        return (
            f"connections are refused for lack of file descriptors, {self.refused} so far: the process may have"
            f" {self._limit:g}; raise the limit (ulimit -n) above max_connections plus {MAX_RESERVE}"
        )
