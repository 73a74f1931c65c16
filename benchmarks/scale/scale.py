"""Measurement of very many idle connections to one gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import psutil

from benchmarks import servers
from benchmarks.children import answer, child
from benchmarks.processes import Server
from benchmarks.scale.idle_clients import CONNECTIONS_AN_ADDRESS, Answered, Opened, run_idle_clients
from benchmarks.scale.memory import (
    RESERVED_DESCRIPTORS,
    KernelMemory,
    allowed_connections,
    descriptors_a_process,
    kernel_memory,
)

HEADER: Final = (
    "connections",
    "resident",
    "a connection",
    "kernel, both ends",
    "handshakes a second",
    "CPU of the heartbeat",
    "pings answered a second",
    "most in 0.1 s",
)
WARM_UP_CONNECTIONS: Final = 50
MAX_RESIDENT_BYTES: Final = 10**9
"""Bound on the resident memory of a gateway with 100,000 idle connections."""
FULL: Final = 100_000
ONCE_BYTES: Final = 3_000_000
"""Memory that a gateway takes once, when the first connections are measured: less than a few connections may take."""

CONFIG: Final = Path(__file__).with_name("gateway.toml")


@dataclass(frozen=True, slots=True)
class Measured:
    """Gateway with idle connections."""

    connections: int
    limit: str
    """Limit that was reached before all were open; empty if none was."""
    resident_bytes: int
    grown_bytes: int
    """Growth of the gateway's resident memory by the connections."""
    kernel: KernelMemory
    """Growth of the kernel's memory."""
    open_s: float
    watched_s: float
    cpu_s: float
    """CPU time of the gateway while it was watched, without that of an idle one."""
    answered: Answered

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        kernel_bytes = self.kernel.buffers_bytes + self.kernel.slab_bytes
        return (
            f"{self.connections:,}",
            f"{self.resident_bytes / 1e6:.0f} MB",
            f"{self.grown_bytes / self.connections / 1e3:.2f} KB",
            f"{kernel_bytes / 1e6:.0f} MB, {kernel_bytes / self.connections / 1e3:.1f} KB a connection",
            f"{self.connections / self.open_s:.0f}",
            f"{100 * self.cpu_s / self.watched_s:.1f} % of a core",
            f"{self.answered.pings / self.watched_s:.0f}",
            f"{self.answered.most_a_tenth}",
        )

    def broken(self) -> list[str]:
        """Return a line for each broken bound."""
        broken = []
        bound_bytes = max(ONCE_BYTES, MAX_RESIDENT_BYTES * self.connections / FULL)
        if self.grown_bytes > bound_bytes:
            grown, bound = f"{self.grown_bytes / 1e6:.0f} MB", f"{bound_bytes / 1e6:.0f} MB"
            broken.append(f"{self.connections:,} connections take {grown}, more than {bound}")
        if self.answered.lost:
            broken.append(f"{self.answered.lost} idle connections were closed")
        if not self.answered.pings:
            broken.append("no connection was pinged")
        return broken


def measure(wanted: int, watched_s: float) -> Measured:
    """Open connections, as many as this machine allows, and watch them.

    Raises:
        VerificationFailed: the gateway or a client process has failed.
    """
    count, limit = allowed_connections(wanted)
    command = (*servers.GATEWAY, "--config", str(CONFIG), "--max-connections", str(count + WARM_UP_CONNECTIONS))
    with servers.gateway(command) as server:
        with _clients(server, WARM_UP_CONNECTIONS) as (_, processes):
            _reported(processes)
        server.settle()
        idle_s = _cpu_s(server, watched_s / 4) * 4
        resident_bytes, kernel = server.rss_bytes(), kernel_memory()
        with _clients(server, count) as (opened, processes):
            stopped = next((each.problem for each in opened if each.problem), "")
            # The first pings come within some seconds, those of silent clients after that.
            time.sleep(min(10.0, watched_s))
            _reported(processes)
            cpu_s = _cpu_s(server, watched_s)
            answered = _reported(processes)
            held_bytes, held = server.rss_bytes(), kernel_memory()
    grown = KernelMemory(held.buffers_bytes - kernel.buffers_bytes, held.slab_bytes - kernel.slab_bytes)
    connections = sum(each.connections for each in opened)
    return Measured(
        connections,
        stopped or limit,
        held_bytes,
        held_bytes - resident_bytes,
        grown,
        max(each.seconds for each in opened),
        watched_s,
        max(0.0, cpu_s - idle_s),
        answered,
    )


@contextmanager
def _clients(server: Server, count: int) -> Iterator[tuple[list[Opened], list[Connection]]]:
    """Hold connections of as many processes as it takes, each from addresses of its own."""
    a_process = min(descriptors_a_process() - RESERVED_DESCRIPTORS, 2 * CONNECTIONS_AN_ADDRESS)
    with ExitStack() as stack:
        processes: list[Connection] = []
        for number, first in enumerate(range(0, count, a_process)):
            # Addresses behind those that other programs of this machine use.
            address = 256 + 2 * number
            size = min(a_process, count - first)
            processes.append(stack.enter_context(child(run_idle_clients, server.port, address, size)))
        yield [answer(process) for process in processes], processes


def _reported(processes: list[Connection]) -> Answered:
    for process in processes:
        process.send("report")
    reports: list[Answered] = [answer(process) for process in processes]
    return Answered(
        sum(report.pings for report in reports),
        sum(report.most_a_tenth for report in reports),
        sum(report.lost for report in reports),
    )


def _cpu_s(server: Server, seconds: float) -> float:
    """Return the CPU time that a server takes in some seconds."""
    process = psutil.Process(server.pid)
    before = process.cpu_times()
    time.sleep(seconds)
    now = process.cpu_times()
    return float(now.user + now.system - before.user - before.system)
