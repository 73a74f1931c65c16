"""Benchmark 4: from publish to delivery of a 1 KB float32 tensor.

Raw sockets: the load generator takes both times, first with one message in flight, then at 10,000 a second, where the
latency of a message counts from the time at which it was due. The floor is a raw uvloop echo of as many bytes. For the
SDKs see ``sdk.py``.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks import servers
from benchmarks.load import load
from benchmarks.report import Bar, Section, grid
from benchmarks.samples import Samples
from benchmarks.sdk import SDK, measure_latency
from benchmarks.settings import Settings

PAYLOAD_BYTES: Final = 1024
ECHO_BYTES: Final = 8 + 32 + 8 + PAYLOAD_BYTES
"""Bytes of a publish on the wire: WebSocket header, data frame header, descriptor, payload."""
RATE: Final = 10_000
SAMPLES: Final = 20_000

IDLE: Final = "one in flight"
PACED: Final = f"{RATE:,} a second"
FRYS: Final = "frys"
ECHO: Final = "uvloop echo"
NATS: Final = "nats-server"
CEILING: Final = "C echo"


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    samples = Samples()
    count = settings.count(SAMPLES)
    with ExitStack() as stack:
        frys = stack.enter_context(servers.gateway(settings.gateway))
        sides = [
            (FRYS, "frys", frys, PAYLOAD_BYTES),
            (ECHO, "raw", stack.enter_context(servers.raw("echo")), ECHO_BYTES),
            (NATS, "nats", stack.enter_context(servers.nats()), PAYLOAD_BYTES),
            (CEILING, "raw", stack.enter_context(servers.forwarder("echo")), ECHO_BYTES),
        ]
        for _, _, server, _ in sides:
            server.settle()
        for what, rate in ((IDLE, 0), (PACED, RATE)):
            for _ in range(settings.repeats):
                for whom, protocol, server, payload in sides:
                    run_load = partial(load, "latency", server, protocol, payload=payload, rate=rate, count=count)
                    samples.take(what, whom, run_load, "p50_us")
                samples.take(what, SDK, partial(measure_latency, frys, rate, count), "p50_us")

    def cell(what: str, whom: str) -> str:
        return " / ".join(f"{samples.median(what, whom, key):,.0f}" for key in ("p50_us", "p99_us", "p999_us"))

    bars = [
        Bar(
            f"{IDLE}: frys, raw sockets / {ECHO}, p50",
            samples.ratio(IDLE, FRYS, ECHO, "p50_us"),
            1.5,
            at_most=True,
        ),
        Bar(f"{IDLE}: {SDK} / {ECHO}, p50", samples.ratio(IDLE, SDK, ECHO, "p50_us"), 1.6, at_most=True),
    ]
    text = (
        f"Publish to deliver of a tensor of {PAYLOAD_BYTES} bytes, p50 / p99 / p99.9 in microseconds, medians of "
        f"{settings.repeats} runs of {count:,} messages; echo: the round trip of {ECHO_BYTES} bytes."
    )
    tables = (grid(samples, "us", (IDLE, PACED), (FRYS, SDK, ECHO, NATS, CEILING), cell),)
    return Section("Latency", text, tables, tuple(bars), tuple(samples.failures))
