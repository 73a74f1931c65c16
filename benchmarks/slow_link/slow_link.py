"""Measurement of one dashboard behind a slow line among others over loopback."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks import servers
from benchmarks.machine import LOAD_CORE
from benchmarks.processes import VerificationFailed, bind_to, serving
from benchmarks.slow.stage import free_port, idle_only
from benchmarks.slow_link.dashboards import STREAM
from benchmarks.slow_link.paced_line import Line, paced_line
from gateway.client import sync

HEADER: Final = ("line", "others", "p99 alone", "p99 beside it", "ratio", "its states", "oldest", "score", "bottleneck")
RATIO: Final = 1.2
"""Most that the slow dashboard may add to the p99 of the others."""
OLDEST_S: Final = 1.0
"""Greatest age of a state that the slow dashboard may show."""
PATIENCE_S: Final = 60.0
LISTENING: Final = re.compile(r"listening on ws://[\d.]+:(?P<port>\d+)")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a measurement."""

    others: int = 99
    bits_per_s: int = 2_000_000
    state_bytes: int = 16 * 1024
    states_per_s: float = 30.0
    rounds: int = 5
    seconds: float = 10.0
    settle_s: float = 0.0
    """Time of the slow dashboard that is not measured."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of all rounds."""

    sizes: Sizes
    line: str
    alone_ms: tuple[float, ...]
    """p99 of the delay of the others without the slow dashboard, of each round."""
    beside_ms: tuple[float, ...]
    """The same beside the slow dashboard."""
    states_per_s: float
    """States that the slow dashboard has got."""
    oldest_s: float
    """Greatest age of a state that it has shown."""
    link: dict[str, Any]
    """Its link as the gateway has measured it."""

    @property
    def ratio(self) -> float:
        """Median over the rounds of what the slow dashboard costs the others."""
        return statistics.median(beside / alone for alone, beside in zip(self.alone_ms, self.beside_ms, strict=True))

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        return (
            f"{self.sizes.bits_per_s / 1e6:g} Mbit/s, {self.line}",
            f"{self.sizes.others}",
            f"{statistics.median(self.alone_ms):.2f} ms",
            f"{statistics.median(self.beside_ms):.2f} ms",
            f"{self.ratio:.2f} x",
            f"{self.states_per_s:.1f} of {self.sizes.states_per_s:g} a second",
            f"{self.oldest_s:.2f} s",
            f"{self.link['score']:.2f}",
            f"{self.link['bottleneck']}",
        )

    def broken(self) -> list[str]:
        """Return a line for each broken bound."""
        lines = []
        if not self.ratio <= RATIO:
            lines.append(f"the others notice it: p99 is {self.ratio:.2f} times that without it, more than {RATIO:g}")
        if not self.oldest_s < OLDEST_S:
            lines.append(f"it has shown a state that was {self.oldest_s:.2f} s old, {OLDEST_S:g} s or more")
        if not self.states_per_s > 0:
            lines.append("it has got no states")
        return lines


class Dashboards:
    """Process with dashboards."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._read()

    def begin(self) -> None:
        """Begin a measurement."""
        self._say("begin")

    def end(self) -> dict[str, float]:
        """End the measurement, and return its result."""
        self._say("end")
        found: dict[str, float] = json.loads(self._read())
        return found

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        guard = threading.Timer(PATIENCE_S, self._process.kill)
        guard.start()
        try:
            line = self._process.stdout.readline()
        finally:
            guard.cancel()
        if not line:
            raise VerificationFailed("the dashboards have ended; their traceback is above")
        return line


@contextmanager
def watching(url: str, count: int, bind: Callable[[int], None], command: Sequence[str] = ()) -> Iterator[Dashboards]:
    """Run dashboards for the length of the block.

    Args:
        url: URL of the gateway.
        count: number of the dashboards.
        bind: binds their process to a core.
        command: words before the command of their process.
    """
    words = [*command, sys.executable, "-m", "benchmarks.slow_link.dashboards", url, str(count)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: bind(LOAD_CORE)
    ) as process:
        try:
            yield Dashboards(process)
        finally:
            process.terminate()


@contextmanager
def publishing(url: str, sizes: Sizes) -> Iterator[None]:
    """Publish states, stamped with the time, until the block ends."""
    stopped = threading.Event()

    def publish() -> None:
        random = np.random.default_rng(0)
        with sync.connect(url, client_type="workflow", client_id="publisher") as client:
            due_s = time.monotonic()
            while not stopped.wait(max(0.0, due_s - time.monotonic())):
                due_s += 1 / sizes.states_per_s
                # Nothing of it is like the state before, so that neither deltas nor codecs make it fit the line.
                state = random.integers(-(2**63), 2**63, sizes.state_bytes // 8)
                state[0] = time.monotonic_ns()
                client.publish(STREAM, state, kind="state")

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def measure(sizes: Sizes) -> Measured:
    """Measure rounds without and with the slow dashboard, one after the other."""
    os.sched_setaffinity(0, {LOAD_CORE})
    admin_port = free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--host", "0.0.0.0", "--insecure", "--port", "0"]
    command += ["--admin-port", str(admin_port)]
    with serving("frys", command, LISTENING, servers.SERVER_CORE) as server:
        server.settle()
        url, admin_url = f"ws://127.0.0.1:{server.port}", f"http://127.0.0.1:{admin_port}"
        with (
            paced_line(server.port, sizes.bits_per_s) as line,
            watching(url, sizes.others, bind_to) as others,
            publishing(url, sizes),
        ):
            rounds = [_round(sizes, line, others, admin_url) for _ in range(sizes.rounds)]
    slow = [each[2] for each in rounds]
    return Measured(
        sizes,
        line.kind,
        tuple(each[0]["p99_ms"] for each in rounds),
        tuple(each[1]["p99_ms"] for each in rounds),
        sum(each["states"] for each in slow) / sizes.rounds / sizes.seconds,
        max(each["oldest_s"] for each in slow),
        rounds[-1][3],
    )


def _round(
    sizes: Sizes, line: Line, others: Dashboards, admin_url: str
) -> tuple[dict[str, float], dict[str, float], dict[str, float], dict[str, Any]]:
    """Return what the others have seen alone and beside the slow dashboard, what that has seen, and its link."""
    others.begin()
    time.sleep(sizes.seconds)
    alone = others.end()
    # In the idle time of the core, so that the others notice the gateway's work for it, and not its own.
    with watching(f"ws://{line.host}:{line.port}", 1, idle_only, line.command) as slow:
        time.sleep(sizes.settle_s)
        others.begin()
        slow.begin()
        time.sleep(sizes.seconds)
        result = alone, others.end(), slow.end(), link_of("panel-0-of-1", admin_url)
    return result


def link_of(client_id: str, admin_url: str) -> dict[str, Any]:
    """Return the link of a client as the admin port shows it."""
    with urllib.request.urlopen(f"{admin_url}/api/v1/connections?limit=1000") as answer:
        connections = json.load(answer)["connections"]
    (found,) = [each for each in connections if each["client_id"] == client_id]
    link: dict[str, Any] = found["link"]
    return link
