"""Program ``python -m benchmarks.optimizer.serving``: what learning costs the gateway while it serves.

Time of a look-up, p99 of the delivery latency while models are fitted beside the gateway, and start to listening.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks import servers
from benchmarks.machine import LOAD_CORE, describe
from benchmarks.optimizer.adaptation_clients import picture
from benchmarks.processes import Server, bind_to
from benchmarks.report import Bar, Section, concluded
from gateway.client import sync
from gateway.connections.link_tier import TIERS
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.ids import Epoch, StreamId, StreamName
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.decisions.learned_policy import LearnedPolicy
from gateway.optimizer.sampled_policy import SampledPolicy
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream

LOOK_UP_BAR_US: Final = 1.0
LATENCY_BAR: Final = 1.1
START_BAR: Final = 1.1
LOOK_UPS: Final = 10_000
STREAMS: Final = 100
SMALL, LARGE = "optimizer/events", "optimizer/arrays"
ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class _Unused:
    """Threads and clock that a look-up does not need."""

    def monotonic_s(self) -> float:
        return 0.0


def look_up_us() -> float:
    """Return the median time of a look-up in microseconds, of receivers of every link tier."""
    policy = LearnedPolicy(SampledPolicy(_Unused()), _Unused())  # type: ignore[arg-type]
    streams = [
        Stream(StreamId(number), StreamName(f"optimizer/{number}"), Kind.EVENT, Epoch(1)) for number in range(100)
    ]
    profiles = [ReceiverProfile(frozenset({"lz4", "zstd", "shuffle"}), tier, "frys-python") for tier in TIERS]
    for stream in streams:
        for profile in profiles:
            policy.chain_for(stream, profile)
        learned = policy.get(stream.id)
        assert learned is not None
        for profile in profiles:
            learned.put(profile, Decision(Chain(True, "lz4"), None, 0.1, 0.2, "measured"), None)
        policy.apply(learned, changed=True)
    asked = [(stream, profile) for stream in streams for profile in profiles]
    times = []
    for number in range(LOOK_UPS):
        stream, profile = asked[number * 7919 % len(asked)]
        times.append(timeit.timeit(lambda: policy.chain_for(stream, profile), number=20) / 20)  # noqa: B023
    return 1e6 * statistics.median(times)


@contextmanager
def gateway(directory: Path | None) -> Iterator[Server]:
    """Run a gateway that learns beside a traffic history in a directory; ``None``: it has none."""
    with tempfile.TemporaryDirectory() as place:
        config = Path(place) / "gateway.toml"
        common = Path(servers.CLIENTS_COME_AT_ONCE[1]).read_text("utf-8")
        learns = "" if directory is None else f'\n[optimizer]\nhistory_dir = "{directory}"\n'
        config.write_text(common + learns, "utf-8")
        command = (sys.executable, "-m", "gateway", "serve", "--config", str(config), *servers.ANY_PORT)
        with servers.gateway(command) as server:
            yield server


@contextmanager
def retraining() -> Iterator[None]:
    """Have models fitted without end for the length of the block, where the gateway runs."""
    command = [sys.executable, "-m", "benchmarks.optimizer.retraining"]
    environment = {**os.environ, **ONE_THREAD}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=lambda: bind_to(servers.SERVER_CORE)
    ) as fitting:
        assert fitting.stdout is not None
        fitting.stdout.readline()
        try:
            yield
        finally:
            fitting.kill()


def delays_ms(server: Server, seconds: float) -> Sequence[float]:
    """Return the delays of events beside a stream of arrays, all to one receiver."""
    url, found, arrays = f"ws://127.0.0.1:{server.port}", list[float](), [picture(number) for number in range(8)]
    with (
        sync.connect(url, client_type="agent") as client,
        sync.connect(url) as reader,
        reader.subscribe("optimizer/*") as messages,
    ):
        end_s, number = time.monotonic() + seconds, 0
        while time.monotonic() < end_s:
            number += 1
            if not number % 10:
                client.publish(LARGE, arrays[number // 10 % len(arrays)], codec="none")
                next(messages)
            begin_s = time.perf_counter()
            client.publish(SMALL, np.zeros(16, np.float32))
            next(messages)
            found.append(1e3 * (time.perf_counter() - begin_s))
            time.sleep(0.002)
    return found


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return float(np.percentile(values, 99))


def latency(rounds: int, seconds: float) -> tuple[list[float], list[float], bool]:
    """Return p99 without and beside fitting, of each round, and whether the gateway has loaded scikit-learn."""
    alone, beside = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as directory, gateway(Path(directory)) as server:
        delays_ms(server, seconds)
        for _ in range(rounds):
            alone.append(p99(delays_ms(server, seconds)))
            with retraining():
                beside.append(p99(delays_ms(server, seconds)))
        return alone, beside, server.has_loaded("sklearn")


def starts(rounds: int) -> tuple[float, float]:
    """Return the median times from start to listening, without and with learning."""
    without, learning = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(rounds):
            for path, times in ((None, without), (Path(directory), learning)):
                with gateway(path) as server:
                    times.append(server.start_s)
    return statistics.median(without), statistics.median(learning)


def main() -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimizer.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a measurement of latency")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        bind_to(LOAD_CORE)
        alone, beside, loaded = latency(arguments.rounds, arguments.seconds)
        without_s, learning_s = starts(arguments.rounds)
    bars = (
        Bar("look-up of a decision, median", look_up_us(), LOOK_UP_BAR_US, "us", at_most=True),
        Bar(
            f"p99 of events while models are fitted ({statistics.median(beside):.2f} ms) over p99 without "
            f"({statistics.median(alone):.2f} ms)",
            statistics.median(after / before for before, after in zip(alone, beside, strict=True)),
            LATENCY_BAR,
            at_most=True,
        ),
        Bar("scikit-learn in the gateway", float(loaded), 0.0, "", at_most=True),
        Bar(
            f"start to listening with learning ({learning_s * 1e3:.0f} ms) over without ({without_s * 1e3:.0f} ms)",
            learning_s / without_s,
            START_BAR,
            at_most=True,
        ),
    )
    print(Section("Serving while learning", describe(), (), bars, ()).markdown())
    return concluded([bar.what for bar in bars if not bar.passed])


if __name__ == "__main__":
    sys.exit(main())
