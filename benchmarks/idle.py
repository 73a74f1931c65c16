"""Benchmark 5: memory of an idle connection, rate of accepting connections, time from start to listening."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from benchmarks import servers
from benchmarks.load import hold_load, load
from benchmarks.machine import allow_connections
from benchmarks.processes import Server, VerificationFailed
from benchmarks.report import Bar, Section, spread, table
from benchmarks.samples import Result, Samples
from benchmarks.settings import Settings

CONNECTIONS: Final = 10_000
WARM_UP_CONNECTIONS: Final = 50
MEMORY_LIMIT_KB: Final = 8.0
START_LIMIT_MS: Final = 300.0
TOO_HEAVY: Final = "sklearn"

HELD: Final = "connections"
FRYS: Final = "frys"

Opener = Callable[[], AbstractContextManager[Server]]


def _check_imports(server: Server) -> None:
    if server.has_loaded(TOO_HEAVY):
        raise VerificationFailed(f"{server.name} has imported {TOO_HEAVY}")


def _measure(open_server: Opener, protocol: str, count: int) -> Result:
    with open_server() as server:
        _check_imports(server)
        server.settle()
        # The first connections fill caches and cause late imports, which do not count.
        load("idle", server, protocol, count=WARM_UP_CONNECTIONS)
        server.settle()
        before = server.rss_bytes()
        with hold_load("idle", server, protocol, count=count) as result:
            server.settle()
            held = server.rss_bytes()
        _check_imports(server)
    return {**result, "kb": (held - before) / count / 1e3, "rss_mb": held / 1e6, "start_ms": server.start_s * 1e3}


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    samples = Samples()
    count = allow_connections(settings.count(CONNECTIONS))

    def gateway() -> AbstractContextManager[Server]:
        return servers.gateway(settings.gateway)

    sides: list[tuple[str, str, Opener]] = [
        (FRYS, "frys", gateway),
        ("websockets", "websocket", servers.broadcast),
        ("nats-server", "nats", servers.nats),
        ("C forwarder", "frys", lambda: servers.forwarder("frys")),
    ]
    with gateway():
        pass  # the first start fills the file cache and writes bytecode
    for _ in range(settings.repeats):
        for whom, protocol, open_server in sides:
            samples.take(HELD, whom, partial(_measure, open_server, protocol, count), "kb")

    rows = [
        (
            whom,
            f"{samples.median(HELD, whom, 'kb'):.1f} KB",
            f"{samples.median(HELD, whom, 'rss_mb'):.0f} MB",
            spread(samples, HELD, whom, "per_second"),
            f"{samples.median(HELD, whom, 'start_ms'):.0f} ms",
        )
        for whom, _, _ in sides
    ]
    bars = (
        Bar("memory per idle connection", samples.median(HELD, FRYS, "kb"), MEMORY_LIMIT_KB, "KB", at_most=True),
        Bar("start to listening", samples.median(HELD, FRYS, "start_ms"), START_LIMIT_MS, "ms", at_most=True),
    )
    text = (
        f"{count:,} connections, each open until its first answer (frys: WELCOME); medians of {settings.repeats}. "
        "Memory is the growth of the server's resident set (1 KB is 1,000 bytes). The gateway's process has not "
        f"imported {TOO_HEAVY}, neither at the start nor at the end, which is verified."
    )
    header = ("", "memory per connection", "server in all", "accepted a second", "start to listening")
    return Section("Idle connections", text, (table(header, rows),), bars, tuple(samples.failures))
