"""Benchmark 3: float32 tensors of 64 KB to 256 MB, codec none, from one raw connection to another.

The relay passes on the same bytes that the gateway gets, masked WebSocket messages. Every frame from the gateway is
verified, and every byte of the first tensor, which does not count.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks import servers
from benchmarks.load import load
from benchmarks.report import Bar, Section, busy, grid, spread
from benchmarks.samples import Samples
from benchmarks.settings import Settings

TOTAL_BYTES: Final = 1 << 30
SIZES: Final = {"64 KB": 64 << 10, "1 MB": 1 << 20, "16 MB": 16 << 20, "256 MB": 256 << 20}

FRYS: Final = "frys"
RELAY: Final = "uvloop relay"
CEILING: Final = "C relay"
FORWARDER: Final = "C forwarder"
LIMITS: Final = {RELAY: 0.9, FORWARDER: 0.95}
"""Goals, of which the lower one counts: the forwarder does the least that a gateway can do, and so bounds it."""


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    samples = Samples()
    with ExitStack() as stack:
        sides = [
            (FRYS, "frys", stack.enter_context(servers.gateway(settings.gateway))),
            (RELAY, "raw", stack.enter_context(servers.raw("relay"))),
            (CEILING, "raw", stack.enter_context(servers.forwarder("relay"))),
            (FORWARDER, "frys", stack.enter_context(servers.forwarder("frys"))),
        ]
        for _, _, server in sides:
            server.settle()
        for name, size in SIZES.items():
            for _ in range(settings.repeats):
                for whom, protocol, server in sides:
                    count = settings.count(TOTAL_BYTES // size)
                    run_load = partial(load, "tensors", server, protocol, bytes=size, count=count)
                    samples.take(name, whom, run_load, "bytes_per_second")

    def cell(what: str, whom: str) -> str:
        return f"{spread(samples, what, whom, 'bytes_per_second')} {busy(samples, what, whom)}"

    def bar(what: str) -> Bar:
        peer = min(LIMITS, key=lambda peer: LIMITS[peer] * samples.median(what, peer, "bytes_per_second"))
        return Bar(f"{what}: {FRYS} / {peer}", samples.ratio(what, FRYS, peer, "bytes_per_second"), LIMITS[peer])

    text = (
        f"Bytes of payload a second: median of {settings.repeats} (lowest–highest), and the use of the server's and "
        "the load's core. Tensors above 1 MB go in chunks of 512 KiB. Those of up to 4 MB follow each other with at "
        "most 4 MB in flight, larger ones are sent one by one. The ceilings are a C relay, and a C server that unmasks "
        "and forwards."
    )
    tables = (grid(samples, "bytes/s", list(SIZES), (FRYS, RELAY, CEILING, FORWARDER), cell),)
    return Section("Tensors", text, tables, tuple(map(bar, SIZES)), tuple(samples.failures))
