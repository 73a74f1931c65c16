"""Benchmark 1: 100-byte messages from one publisher to 1, 100 and 1,000 subscribers.

Each message is verified at each subscriber: its number, its order, and at the end that none is missing. The publisher
is at most a window of messages ahead of the slowest subscriber, so that no server has a reason to drop one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks import servers
from benchmarks.load import load
from benchmarks.report import Bar, Section, busy, grid, spread
from benchmarks.samples import Samples
from benchmarks.settings import Settings

PAYLOAD_BYTES: Final = 100


@dataclass(frozen=True, slots=True)
class Scenario:
    """Number of subscribers, and behaviour of the publisher."""

    name: str
    subscribers: int
    windows: dict[str, int]
    """Messages in flight, by protocol. For frys and nats-server about the best of 256, 1,024 and 4,096 (frys was not
    tried with 4,096 at 1,000 subscribers). For ``websockets`` a narrow window: a wider one was no faster, and takes
    seconds to
    drain."""
    burst: int = 64
    """Messages that the publisher hands to its socket at once, or packs into a record batch."""


ONE: Final = Scenario(
    "1 subscriber", 1, {"nats": 4096, "websocket": 1024, "frys": 1024, "frys-single": 1024, "frys-batch": 1024}
)
HUNDRED: Final = Scenario("100 subscribers", 100, {"nats": 256, "websocket": 256, "frys": 1024, "frys-batch": 1024})
THOUSAND: Final = Scenario("1,000 subscribers", 1000, {"nats": 1024, "websocket": 64, "frys": 1024, "frys-batch": 1024})
IN_FLIGHT: Final = Scenario("100 subscribers, one in flight", 100, {"nats": 1, "websocket": 1, "frys": 1}, burst=1)
SCENARIOS: Final = (ONE, HUNDRED, THOUSAND, IN_FLIGHT)

FRYS: Final = "frys MESSAGE"
FRYS_SINGLE: Final = "frys MESSAGE, unpacked"
FRYS_BATCH: Final = "frys BATCH"
NATS: Final = "nats-server"
WEBSOCKETS: Final = "websockets.broadcast"
CEILING: Final = "ceiling MESSAGE"
CEILING_BATCH: Final = "ceiling BATCH"


def measure(settings: Settings, scenarios: Sequence[Scenario] = SCENARIOS, *, peers: bool = True) -> Samples:
    """Run all scenarios against all servers in turn, as many rounds as the settings say.

    Args:
        settings: the settings.
        scenarios: the scenarios.
        peers: measure the other servers, too, not only the gateway.
    """
    samples = Samples()
    with ExitStack() as stack:
        frys = stack.enter_context(servers.gateway(settings.gateway))
        sides = [(FRYS, "frys", frys), (FRYS_SINGLE, "frys-single", frys), (FRYS_BATCH, "frys-batch", frys)]
        if peers:
            ceiling = stack.enter_context(servers.forwarder("frys"))
            sides += [
                (NATS, "nats", stack.enter_context(servers.nats())),
                (WEBSOCKETS, "websocket", stack.enter_context(servers.broadcast())),
                (CEILING, "frys", ceiling),
                (CEILING_BATCH, "frys-batch", ceiling),
            ]
        for _, _, server in sides:
            server.settle()
        for scenario in scenarios:
            for _ in range(settings.repeats):
                for whom, protocol, server in sides:
                    if protocol not in scenario.windows:
                        continue
                    run_load = partial(
                        load,
                        "fanout",
                        server,
                        protocol,
                        subscribers=scenario.subscribers,
                        payload=PAYLOAD_BYTES,
                        pack=scenario.burst,
                        window=scenario.windows[protocol],
                        seconds=settings.seconds,
                    )
                    samples.take(scenario.name, whom, run_load, "per_second")
    return samples


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    samples = measure(settings)
    whoms = (FRYS, FRYS_SINGLE, FRYS_BATCH, NATS, WEBSOCKETS, CEILING, CEILING_BATCH)

    def cell(what: str, whom: str) -> str:
        return f"{spread(samples, what, whom, 'per_second')} {busy(samples, what, whom)}"

    bars = []
    for whom in (FRYS, FRYS_BATCH):
        for peer, limit in ((NATS, 5.0), (WEBSOCKETS, 50.0)):
            ratio = samples.ratio(THOUSAND.name, whom, peer, "per_second")
            bars.append(Bar(f"{THOUSAND.name}: {whom} / {peer}", ratio, limit))
    for scenario in (ONE, IN_FLIGHT):
        ratio = samples.ratio(scenario.name, FRYS, NATS, "per_second")
        bars.append(Bar(f"{scenario.name}: {FRYS} / {NATS}", ratio, 1.0))
    text = (
        f"Messages of {PAYLOAD_BYTES} bytes delivered a second, over all subscribers: median of {settings.repeats} "
        "(lowest–highest), and the use of the server's and the load's core. MESSAGE: each message in a frame of its "
        "own, 64 frames in a WebSocket message; unpacked: one frame in a WebSocket message; BATCH: record batches of "
        "64. Every publisher writes 64 messages at once, except with one in flight. The ceiling is the same load "
        "against a C server that only unmasks and forwards."
    )
    tables = (grid(samples, "messages/s", [scenario.name for scenario in SCENARIOS], whoms, cell),)
    return Section("Fan-out", text, tables, tuple(bars), tuple(samples.failures))
