"""Measurement of waves of joins on one line, with plans and without."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import servers
from benchmarks.joins.state import STREAM, check, version
from benchmarks.plans.links import shaped
from benchmarks.plans.scene import Shape
from benchmarks.processes import Server, VerificationFailed, bind_to, serving
from benchmarks.slow_link.slow_link import LISTENING
from gateway.client import sync

LOAD_CORE: Final = 1 - servers.SERVER_CORE
KNOWN_WAVES: Final = 5
"""Waves of which the period is known, with one to spare: those behind them are measured."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the measurement."""

    bits_per_s: tuple[int, ...] = (20_000_000, 200_000_000)
    """Rates of the lines."""
    joins: int = 2
    """Receivers of a wave."""
    waves: int = 10
    """Waves."""
    period_s: float = 8.0
    """Time from one wave to the next."""
    versions_per_s: float = 1.0
    """Versions of the state."""


def _gateway(directory: Path, *, plans: bool) -> AbstractContextManager[Server]:
    """Run a gateway that learns how to encode; with plans, it knows when receivers are about to join."""
    config = directory / "gateway.toml"
    mode = "on" if plans else "off"
    config.write_text(
        f'[optimizer]\nhistory_dir = "{directory / "history"}"\n\n[planning]\nmode = "{mode}"\n', encoding="utf-8"
    )
    addresses = ("--host", "0.0.0.0", "--insecure", "--port", "0", "--admin-port", "0")
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), *addresses]
    return serving("frys", command, LISTENING, servers.SERVER_CORE)


@contextmanager
def _watching_and_publishing(url: str, versions_per_s: float) -> Iterator[None]:
    """Publish versions, which one receiver on this machine watches, until the block ends."""
    stopped = threading.Event()

    def publish() -> None:
        with sync.connect(url, client_type="workflow", client_id="publisher") as client:
            number = 0
            while not stopped.wait(1 / versions_per_s):
                number += 1
                client.publish(STREAM, version(number), kind="state", codec="none")

    def watch() -> None:
        with sync.connect(url, client_id="watcher") as client, client.subscribe(STREAM) as messages:
            for message in messages:
                check(message.tensor)
                if stopped.is_set():
                    return

    threads = [threading.Thread(target=target, daemon=True) for target in (watch, publish)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        threads[1].join()


def measure(sizes: Sizes, bits_per_s: int, *, plans: bool) -> list[float]:
    """Return the times from SUBSCRIBE to the first version, in seconds, of all receivers behind the known waves.

    Args:
        sizes: sizes of the measurement.
        bits_per_s: rate of the line.
        plans: whether plans are made.

    Raises:
        VerificationFailed: a receiver got no whole version, or a process has failed.
    """
    os.sched_setaffinity(0, {LOAD_CORE})
    version(0)  # loads the digits before the time runs
    with (
        shaped(Shape(bits_per_s / 8)) as line,
        TemporaryDirectory() as directory,
        _gateway(Path(directory), plans=plans) as server,
        _watching_and_publishing(f"ws://127.0.0.1:{server.port}", sizes.versions_per_s),
    ):
        time.sleep(2 / sizes.versions_per_s)
        words = [*line.command, sys.executable, "-m", "benchmarks.joins.joiners", f"ws://{line.host}:{server.port}"]
        joiners = subprocess.run(
            [*words, str(sizes.waves), str(sizes.joins), str(sizes.period_s)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=60 + sizes.waves * sizes.period_s,
            check=False,
            preexec_fn=lambda: bind_to(LOAD_CORE),
        )
    if joiners.returncode:
        raise VerificationFailed(f"the receivers have ended with {joiners.returncode}; their traceback is above")
    waves: list[list[float]] = json.loads(joiners.stdout)
    return [took_s for wave in waves[KNOWN_WAVES:] for took_s in wave]


def median_ms(took_s: list[float]) -> float:
    """Return the median of times, in milliseconds."""
    return statistics.median(took_s) * 1e3
