"""Benchmark 7: recovery of 100,000 missed messages of an ``event`` stream.

Measures from SUBSCRIBE with ``since`` to the last missed message; live messages must follow without a gap. For the raw
socket they are published while the missed ones are being sent.
"""

from __future__ import annotations

import itertools
import os
from functools import partial
from typing import Final

from benchmarks import recovery_clients, sdk_clients, servers
from benchmarks.load import load
from benchmarks.machine import LOAD_CORE
from benchmarks.processes import Server
from benchmarks.report import Bar, Section, grid, spread
from benchmarks.samples import Result, Samples
from benchmarks.sdk import SPAWN, child, result_of
from benchmarks.settings import Settings

MISSED: Final = 100_000
PAYLOAD_BYTES: Final = sdk_clients.RECORD_BYTES
PACK: Final = 64
"""Messages in a WebSocket message, or in a record batch."""

MESSAGES: Final = "published in frames of their own"
BATCHES: Final = f"published in record batches of {PACK}"
RAW: Final = "raw socket"
SDK_MESSAGES: Final = "SDK, one by one"
SDK_BATCHES: Final = "SDK, `batches()`"
LIMITS: Final = {RAW: 1.0, SDK_MESSAGES: 2.0, SDK_BATCHES: 1.0}
"""Goals in millions of messages a second."""
PUBLISHED: Final = ((MESSAGES, "frys"), (BATCHES, "frys-batch"))

_runs: Final = itertools.count()


def _recover_raw(server: Server, protocol: str, missed: int) -> Result:
    return load("recovery", server, protocol, count=missed, payload=PAYLOAD_BYTES, pack=PACK)


def _recover_by_sdk(server: Server, protocol: str, missed: int, *, in_batches: bool, every_byte: bool) -> Result:
    workflow = f"recovery-{os.getpid()}-{next(_runs)}"
    published = load("publish", server, protocol, workflow=workflow, count=missed, payload=PAYLOAD_BYTES, pack=PACK)
    results: sdk_clients.Results = SPAWN.Queue()
    plan = sdk_clients.Plan(f"ws://127.0.0.1:{server.port}", f"{workflow}/load")
    arguments = plan, LOAD_CORE, results, int(published["messages"]), in_batches, every_byte
    with child(recovery_clients.recover, *arguments) as subscriber:
        return result_of(results, subscriber)


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    samples = Samples()
    missed = settings.count(MISSED)
    with servers.gateway((*settings.gateway, *servers.LONG_HISTORY)) as server:
        server.settle()
        for round_number in range(settings.repeats):
            for what, protocol in PUBLISHED:
                samples.take(what, RAW, partial(_recover_raw, server, protocol, missed), "per_second")
                for whom, in_batches in ((SDK_MESSAGES, False), (SDK_BATCHES, True)):
                    # A check of every payload takes longer than its receipt: once, before the rounds that count.
                    if not round_number:
                        _recover_by_sdk(server, protocol, missed, in_batches=in_batches, every_byte=True)
                    measure = partial(
                        _recover_by_sdk, server, protocol, missed, in_batches=in_batches, every_byte=False
                    )
                    samples.take(what, whom, measure, "per_second")

    whats = [what for what, _ in PUBLISHED]
    bars = tuple(
        Bar(f"{whom}, {what}", samples.median(what, whom, "per_second") / 1e6, limit, "M/s")
        for what in whats
        for whom, limit in LIMITS.items()
    )
    text = (
        f"{missed:,} missed messages of {PAYLOAD_BYTES} bytes, from SUBSCRIBE with `since` to the last of them: "
        f"messages a second, median of {settings.repeats} (lowest–highest). Every offset is verified, and that about "
        "1,000 live messages follow without a gap."
    )
    tables = (grid(samples, "messages/s", whats, tuple(LIMITS), partial(_cell, samples)),)
    return Section("Recovery", text, tables, bars, tuple(samples.failures))


def _cell(samples: Samples, what: str, whom: str) -> str:
    return spread(samples, what, whom, "per_second")
