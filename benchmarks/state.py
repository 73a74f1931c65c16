"""Benchmark of a state: 1,000 x 1,000 float32, of which 1 % changes, 30 versions a second, to 100 subscribers.

Two of the subscribers use the SDK and compare every version with the published one, bit for bit; the others are
sockets that count bytes and versions. All subscribers and the publisher share a core, the server has the other.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Final

from benchmarks import servers
from benchmarks.machine import LOAD_CORE
from benchmarks.processes import Server
from benchmarks.report import Bar, Section, table
from benchmarks.samples import Result, Samples
from benchmarks.sdk import SPAWN, child, result_of
from benchmarks.sdk_clients import Plan, Results
from benchmarks.settings import Settings
from benchmarks.state_clients import SHARE, VERIFIERS, Scene, publish, subscribe

RATE: Final = 30.0
SUBSCRIBERS: Final = 100
VERSIONS: Final = 300
FORMS: Final = {"at random places": True, "in one block": False}
SDK: Final = "frys"

_runs: Final = itertools.count()


def measure(server: Server, random: bool, versions: int) -> Result:
    """Measure one run."""
    plan = Plan(f"ws://127.0.0.1:{server.port}", f"state-{next(_runs)}/field")
    scene = Scene(plan, random, RATE, versions, SUBSCRIBERS)
    subscribed, begin, over = SPAWN.Event(), SPAWN.Event(), SPAWN.Event()
    published: Results = SPAWN.Queue()
    received: Results = SPAWN.Queue()
    with (
        child(subscribe, scene, LOAD_CORE, subscribed, begin, over, received) as subscribers,
        child(publish, scene, LOAD_CORE, subscribed, begin, over, published, server.pid) as publisher,
    ):
        return result_of(received, subscribers, publisher) | result_of(published, subscribers, publisher)


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    samples = Samples()
    with servers.gateway(settings.gateway) as server:
        server.settle()
        for what, random in FORMS.items():
            for _ in range(min(settings.repeats, 3)):
                samples.take(what, SDK, partial(measure, server, random, settings.count(VERSIONS)), "bytes_share")
    rows = [
        (
            what,
            f"{100 * samples.median(what, SDK, 'bytes_share'):.2f} %",
            f"{samples.median(what, SDK, 'per_second'):.1f}",
            f"{100 * samples.median(what, SDK, 'versions_share'):.1f} %",
            f"{100 * samples.median(what, SDK, 'server_cpu'):.0f} %",
        )
        for what in FORMS
    ]
    text = (
        f"float32 (1000, 1000), of which one element in {SHARE} changes in each version, published {RATE:.0f} times a "
        f"second to {SUBSCRIBERS} subscribers, medians. {VERIFIERS} of them compare every version bit for bit. Bytes: "
        "from the socket, with all framing and the keyframes that each subscriber gets now and then, against sending "
        "every version completely. CPU: of the gateway's process, all threads, of one core."
    )
    header = ("what changes", "bytes", "versions/s", "of them received", "CPU of the gateway")
    bars = tuple(
        bar
        for what in FORMS
        for bar in (
            Bar(f"state, {what}: bytes", 100 * samples.median(what, SDK, "bytes_share"), 5.0, "%", at_most=True),
            Bar(f"state, {what}: versions a second", samples.median(what, SDK, "per_second"), 0.98 * RATE, "/s"),
        )
    )
    return Section("State", text, (table(header, rows),), bars, tuple(samples.failures))
