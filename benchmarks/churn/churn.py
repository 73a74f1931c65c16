"""Measurement of connections that come and go: leaks, stale members, and what others notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from benchmarks import servers
from benchmarks.children import answer, child
from benchmarks.churn.churning_clients import Churned, run_churning_clients
from benchmarks.churn.witness import run_witness
from benchmarks.machine import LOAD_CORE
from benchmarks.processes import Server
from benchmarks.scale.memory import allowed_connections
from benchmarks.slow.bystander import EVENTS, Outcome, begin, end, run_bystander

HEADER: Final = (
    "connections",
    "come and go a second",
    "gateway's core",
    "clients' core",
    "memory, end",
    "slope",
    "p99, calm",
    "p99",
    "slowest",
    "stale, missing",
)
CLIENTS_A_PROCESS: Final = 5000
OTHERS: Final = 16
"""Connections of the probe and the witness, and some more."""
TRIAL_S: Final = 15.0
"""Length of the trial in which clients come and go as fast as the machine allows."""
WARM_UP_S: Final = 60.0
"""Length of the churn before the one that is measured: some tables grow until those who have gone are forgotten."""
REACHED: Final = 0.97
"""Part of the wanted rate that counts as it."""
ROOM: Final = 0.8
"""Part of the rate of the trial that is taken if the wanted one is above it."""
GRACE_S: Final = 8.0
"""Time in which members whose connection was cut have left: ``grace_s`` of the gateway, and some more."""
MAX_SLOPE_MB_MIN: Final = 2.0
MAX_P99_MS: Final = 250.0
SAMPLE_S: Final = 0.5

CONFIG: Final = Path(__file__).with_name("gateway.toml")


@dataclass(frozen=True, slots=True)
class Measured:
    """Gateway under churn."""

    connections: int
    limit: str
    """Limit that has stopped the number of connections, or the churn; empty if none has."""
    rate_per_s: float
    gateway_load: float
    """Part of its core that the gateway has used."""
    clients_load: float
    resident_mb: float
    slope_mb_min: float
    """Growth of resident memory over the second half."""
    calm: Outcome
    probe: Outcome
    stale: int
    """Members that nobody is, by the gateway or by the witness."""
    missing: int
    """Clients that are connected, and no members."""
    lost: int
    """Connections that the gateway has closed."""

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        return (
            f"{self.connections:,}",
            f"{self.rate_per_s:.0f} ({100 * self.rate_per_s / self.connections:.0f} %)",
            f"{100 * self.gateway_load:.0f} %",
            f"{100 * self.clients_load:.0f} %",
            f"{self.resident_mb:.0f} MB",
            f"{self.slope_mb_min:+.2f} MB a minute",
            f"{self.calm.p99_ms:.1f} ms",
            f"{self.probe.p99_ms:.1f} ms",
            f"{self.probe.slowest_ms:.0f} ms",
            f"{self.stale}, {self.missing}",
        )

    def broken(self) -> list[str]:
        """Return a line for each broken bound."""
        broken = []
        if self.slope_mb_min > MAX_SLOPE_MB_MIN:
            broken.append(f"memory grows by {self.slope_mb_min:.2f} MB a minute, more than {MAX_SLOPE_MB_MIN:g} MB")
        if self.stale or self.missing:
            broken.append(f"{self.stale} stale members, {self.missing} that are missing")
        if self.lost:
            broken.append(f"the gateway has closed {self.lost} connections")
        if self.probe.p99_ms > MAX_P99_MS:
            broken.append(f"p99 of the probe is {self.probe.p99_ms:.0f} ms, more than {MAX_P99_MS:g} ms")
        if self.probe.received < self.probe.sent or self.probe.problems:
            came = f"{self.probe.received} of {self.probe.sent} messages of the probe came"
            broken.append(f"{came}; {', '.join(self.probe.problems) or 'it met no error'}")
        return broken


def measure(wanted: int, share: float, seconds: float) -> Measured:
    """Hold connections, of which a part comes and goes each second, or as large a part as the machine carries.

    Raises:
        VerificationFailed: the gateway or a client process has failed.
    """
    count, limit = allowed_connections(wanted)
    command = (*servers.GATEWAY, "--config", str(CONFIG), "--max-connections", str(2 * count + OTHERS))
    with (
        servers.gateway(command) as server,
        child(run_bystander, f"ws://127.0.0.1:{server.port}", LOAD_CORE, EVENTS) as bystander,
        child(run_witness, f"ws://127.0.0.1:{server.port}", LOAD_CORE) as witness,
        _clients(server, count) as clients,
    ):
        answer(bystander)
        answer(witness)
        opened = [answer(process) for process in clients]
        limit = next((each.problem for each in opened if each.problem), "") or limit
        connections = sum(each.connections for each in opened)
        server.settle()
        rate, trial = share * connections, min(TRIAL_S, seconds)
        fastest = _rate(_churn(clients, 2 * rate, trial))
        if rate > fastest:
            limit = limit or f"{ROOM:.0%} of the {fastest:.0f} handshakes a second that gateway and clients do here"
            rate = ROOM * fastest
        _churn(clients, rate, min(WARM_UP_S, seconds))
        time.sleep(GRACE_S)
        begin(bystander)
        time.sleep(trial)
        calm = end(bystander)
        watched = _Watched(server)
        begin(bystander)
        churned = _churn(clients, rate, seconds)
        probe = end(bystander)
        gateway_load, slope, resident = watched.end()
        time.sleep(GRACE_S)
        stale, missing = _compare(clients, witness)
    spent_s = max(each.seconds for each in churned)
    if _rate(churned) < REACHED * rate:
        used = f"the gateway has used {gateway_load:.0%} of its core, and the clients had no more time of theirs"
        limit = limit or f"{used}, which others use as well"
    return Measured(
        connections,
        limit,
        _rate(churned),
        gateway_load,
        sum(each.cpu_s for each in churned) / spent_s,
        resident,
        slope,
        calm,
        probe,
        stale,
        missing,
        sum(each.lost for each in churned),
    )


@contextmanager
def _clients(server: Server, count: int) -> Iterator[list[Connection]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                child(run_churning_clients, server.port, 512 + 64 * number, min(CLIENTS_A_PROCESS, count - first))
            )
            for number, first in enumerate(range(0, count, CLIENTS_A_PROCESS))
        ]


def _churn(clients: list[Connection], rate: float, seconds: float) -> list[Churned]:
    for process in clients:
        process.send((rate / len(clients), seconds))
    churned: list[Churned] = [_patient_answer(process, seconds) for process in clients]
    return churned


def _patient_answer(process: Connection, seconds: float) -> Churned:
    process.poll(seconds)
    churned: Churned = answer(process)
    return churned


def _rate(churned: list[Churned]) -> float:
    return sum(each.cycles / each.seconds for each in churned)


def _compare(clients: list[Connection], witness: Connection) -> tuple[int, int]:
    """Return the members that nobody is, and the clients that are no members, as the witness knows them."""
    for process in clients:
        process.send("names")
    connected: set[str] = set().union(*[answer(process) for process in clients])
    witness.send("names")
    members, count = answer(witness)
    return len(members - connected) + abs(count - len(members)), len(connected - members)


class _Watched:
    """Memory and CPU time of a server, from now to the end."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._process = psutil.Process(server.pid)
        self._samples: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._begin_s, self._begin_cpu_s = time.monotonic(), self._cpu_s()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def end(self) -> tuple[float, float, float]:
        """Return the part of a core that was used, the growth in MB a minute over the second half, and the MB now."""
        self._over.set()
        self._thread.join()
        spent_s = time.monotonic() - self._begin_s
        load = (self._cpu_s() - self._begin_cpu_s) / spent_s
        times, sizes = np.array(self._samples[len(self._samples) // 2 :]).T
        slope = float(np.polyfit(times, sizes, 1)[0]) * 60
        return load, slope, self._samples[-1][1]

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self._samples.append((time.monotonic(), self._server.rss_bytes() / 1e6))
