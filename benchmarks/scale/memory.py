"""Memory of the kernel for sockets, and the limits of this machine that bound the number of connections."""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import Final, NamedTuple

import psutil

RESERVED_DESCRIPTORS: Final = 200
"""Descriptors of a process that are no connections of clients: the gateway's reserve is 128."""
NEEDED_BYTES: Final = 24_000
"""Memory for a connection: the gateway's, the kernel's for both ends, and that of a client."""


class KernelMemory(NamedTuple):
    """Memory of the kernel."""

    buffers_bytes: int
    """Bytes in the buffers of TCP sockets (``/proc/net/sockstat``)."""
    slab_bytes: int
    """Objects of all kinds, sockets and open files among them (``Slab`` of ``/proc/meminfo``)."""


def kernel_memory() -> KernelMemory:
    """Return what the kernel uses now, for both ends of all connections of this machine."""
    sockets = re.search(r"^TCP: .*\bmem (\d+)", Path("/proc/net/sockstat").read_text(), re.MULTILINE)
    slab = re.search(r"^Slab: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    pages = int(sockets.group(1)) if sockets else 0
    return KernelMemory(pages * resource.getpagesize(), int(slab.group(1)) * 1024 if slab else 0)


def descriptors_a_process() -> int:
    """Raise this process's limit of file descriptors as far as it may, for its children too, and return the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def allowed_connections(wanted: int) -> tuple[int, str]:
    """Return the connections that this machine allows of those wanted, and the limit; empty if it allows all."""
    limits = [
        (
            descriptors_a_process() - RESERVED_DESCRIPTORS,
            f"file descriptors of a process (ulimit -Hn is {descriptors_a_process()})",
        ),
        (
            psutil.virtual_memory().available // NEEDED_BYTES,
            f"free memory ({psutil.virtual_memory().available / 1e9:.1f} GB)",
        ),
    ]
    allowed, limit = min(limits)
    return (wanted, "") if allowed >= wanted else (allowed, limit)
