"""Benchmark 9: from ``publish(array)`` in one process to ``message.tensor`` in another.

Beside both SDKs, in the same rounds: the hub that one writes oneself, other brokers, and the least that uvloop allows.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks import servers
from benchmarks.array_clients import AsyncClient, BlockingClient
from benchmarks.array_pair import Pair
from benchmarks.array_peers import HUB, NATS, NATS_BYTES, ZMQ
from benchmarks.array_raw import RAW
from benchmarks.array_sdk import BLOCKING_SDK, SDK
from benchmarks.machine import LOAD_CORE, SPARE_CORE
from benchmarks.processes import Server
from benchmarks.report import Bar, Section, si, table
from benchmarks.samples import Samples
from benchmarks.settings import Settings
from benchmarks.stamped_arrays import WHOLE_BYTES

KIB: Final = 1 << 10
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Scene:
    """Size of the arrays, and number of publishes under way."""

    size_name: str
    size: int
    window: int

    @property
    def name(self) -> str:
        """Name in the report."""
        return f"{self.size_name}, {self.window} under way"


@dataclass(frozen=True, slots=True)
class Contestant:
    """Kind of client, the server that it talks to, and the largest array that it can send."""

    name: str
    client: AsyncClient | BlockingClient
    server: str
    kind: str = "event"
    max_bytes: int = 1 << 40


SIZES: Final = (
    ("100 B", 100, 16),
    ("1 KiB", KIB, 16),
    ("4 KiB", 4 * KIB, 16),
    ("64 KiB", 64 * KIB, 16),
    ("1 MiB", MIB, 8),
    ("16 MiB", 16 * MIB, 4),
    ("256 MiB", 256 * MIB, 1),
)
"""Sizes, and how many publishes are under way at most: fewer of large arrays, so that memory suffices."""
SCENES: Final = tuple(Scene(name, size, window) for name, size, most in SIZES for window in sorted({1, most}))
KINDS: Final = ("event", "state", "collaboration")

FRYS, HUB_NAME, RAW_NAME = "SDK, event", "hub of forty lines", "raw uvloop pair"
CONTESTANTS: Final = (
    *(Contestant(f"SDK, {kind}", SDK, "frys", kind) for kind in KINDS),
    *(Contestant(f"blocking SDK, {kind}", BLOCKING_SDK, "frys", kind) for kind in KINDS),
    Contestant(HUB_NAME, HUB, "hub"),
    Contestant("nats-py", NATS, "nats", max_bytes=NATS_BYTES),
    Contestant("pyzmq", ZMQ, "zmq"),
    Contestant(RAW_NAME, RAW, "raw"),
)

RATE: Final = "bytes_per_second"
GOALS: Final = (
    ("4 KiB, 1 under way", HUB_NAME, 1.2),
    ("4 KiB, 16 under way", HUB_NAME, 2.0),
    ("64 KiB, 16 under way", HUB_NAME, 2.0),
    ("1 MiB, 8 under way", HUB_NAME, 2.5),
    ("1 MiB, 8 under way", RAW_NAME, 0.6),
    ("16 MiB, 4 under way", RAW_NAME, 0.6),
    ("256 MiB, 1 under way", RAW_NAME, 0.6),
)
PUBLISH_GOAL: Final = ("4 KiB, 16 under way", 40.0)


def measure(scenes: tuple[Scene, ...], contestants: tuple[Contestant, ...], settings: Settings) -> Samples:
    """Measure every contestant in every scene."""
    samples = Samples()
    with ExitStack() as stack:
        names = {contestant.server for contestant in contestants}
        starts: dict[str, Callable[[], AbstractContextManager[Server]]] = {
            "frys": partial(servers.gateway, settings.gateway),
            "hub": servers.hub,
            "nats": servers.nats,
            "zmq": servers.zmq_broker,
            "raw": partial(servers.raw, "arrays"),
        }
        running = {name: stack.enter_context(start()) for name, start in starts.items() if name in names}
        pairs: dict[AsyncClient | BlockingClient, Pair] = {}
        for contestant in contestants:
            if contestant.client not in pairs:
                pairs[contestant.client] = stack.enter_context(Pair(contestant.client, running[contestant.server]))
        for server in running.values():
            server.settle()
        for scene in scenes:
            for _ in range(settings.repeats):
                for contestant in contestants:
                    if scene.size <= contestant.max_bytes:
                        run_pair = partial(
                            pairs[contestant.client].measure,
                            contestant.kind,
                            scene.size,
                            scene.window,
                            settings.seconds,
                        )
                        samples.take(scene.name, contestant.name, run_pair, RATE)
    return samples


def _table(samples: Samples, scene: Scene) -> str:
    def median(whom: str, key: str) -> float:
        return samples.median(scene.name, whom, key)

    def row(whom: str) -> tuple[str, ...]:
        state = samples.state(scene.name, whom)
        if state != "measured":
            return (whom, state or "–", *[""] * 9)
        return (
            whom,
            _rounded(median(whom, RATE) / 1e6),
            si(median(whom, "per_second")),
            si(median(whom, "acknowledged_per_second")),
            *(_rounded(median(whom, key)) for key in ("publisher_us", "server_us", "subscriber_us")),
            *(_rounded(median(whom, key)) for key in ("p50_us", "p99_us")),
            *(f"{samples.ratio(scene.name, whom, peer, RATE):.2f} x" for peer in (HUB_NAME, RAW_NAME)),
        )

    header = (
        scene.name,
        "MB/s",
        "arrived/s",
        "acknowledged/s",
        "CPU of publisher, µs",
        "of server",
        "of subscriber",
        "p50, µs",
        "p99, µs",
        "to hub",
        "to raw",
    )
    return table(header, [row(contestant.name) for contestant in CONTESTANTS])


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    largest = settings.count(max(scene.size for scene in SCENES))
    scenes = tuple(scene for scene in SCENES if scene.size <= max(largest, SCENES[0].size))
    samples = measure(scenes, CONTESTANTS, settings)
    bars = [Bar(f"{what}: {FRYS} / {peer}", samples.ratio(what, FRYS, peer, RATE), goal) for what, peer, goal in GOALS]
    what, most_us = PUBLISH_GOAL
    publish_us = samples.median(what, FRYS, "publisher_us")
    bars.append(Bar(f"{what}: CPU of an acknowledged publish", publish_us, most_us, "µs", at_most=True))
    text = (
        f"float32 noise from the publisher's array (core {LOAD_CORE}) to the subscriber's (core {SPARE_CORE}), the "
        f"server on core {servers.SERVER_CORE}; medians of {settings.repeats}. Each publish awaits its answer. MB are "
        "10^6 bytes that arrived: of states, newer versions replace older ones, so fewer arrive than are acknowledged. "
        "CPU: of a process, all its threads, for each acknowledged message, without the check of what arrived (all "
        f"bytes up to {WHOLE_BYTES >> 20} MiB, eight blocks of larger arrays). Latency: from before the publish until "
        "the array is there."
    )
    return Section(
        "From array to array",
        text,
        tuple(_table(samples, scene) for scene in scenes),
        tuple(bars),
        tuple(samples.failures),
    )
