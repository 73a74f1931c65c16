"""Measurement of one size of chunks on one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import psutil

from benchmarks import servers
from benchmarks.children import child
from benchmarks.chunks.receiver import LARGE, TAKEN, URGENT
from benchmarks.plans.links import shaped
from benchmarks.plans.scene import Shape
from benchmarks.processes import VerificationFailed, bind_to, serving
from benchmarks.slow_link.slow_link import LISTENING
from gateway.client import sync

LOAD_CORE: Final = 1 - servers.SERVER_CORE
URGENT_EVERY_S: Final = 0.005
UNMEASURED: Final = 2
"""Large messages by which the line becomes known."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Times and CPU of one run."""

    large_s: tuple[float, ...]
    """Time of each large message, from its publish to the program of the receiver."""
    urgent_s: tuple[float, ...]
    """The same of urgent messages beside them."""
    cpu_s: float
    """CPU of the gateway for each large message, and for the urgent ones beside it."""


def _publish_urgent(url: str, commands: Connection) -> None:
    """Publish urgent messages until told to end."""
    bind_to(LOAD_CORE)
    with sync.connect(url, client_type="admin_panel", client_id="commander") as client:
        while not commands.poll(URGENT_EVERY_S):
            client.publish_nowait(URGENT, np.array([time.monotonic_ns()]), kind="control")


def payload_of(nbytes: int, content: str) -> np.ndarray[Any, Any]:
    """Return a payload: noise, which no codec makes smaller, or activations, of which half are zeros."""
    noise = np.random.default_rng(1).standard_normal(nbytes // 4, np.float32)
    return noise if content == "noise" else np.maximum(noise, 0).round(2)


def measure(chunk_bytes: int, bits_per_s: int, nbytes: int, count: int, content: str) -> Measured:
    """Publish large messages one by one, each when the one before has been taken.

    Args:
        chunk_bytes: size of the chunks.
        bits_per_s: rate of the line; 0: the receiver is on this machine.
        nbytes: size of a large message.
        count: number of large messages that are measured.
        content: kind of the payloads.

    Raises:
        VerificationFailed: a message was lost or changed, or a process has failed.
    """
    os.sched_setaffinity(0, {LOAD_CORE})
    payload, sent = payload_of(nbytes, content), count + UNMEASURED
    with TemporaryDirectory() as directory, shaped(Shape(bits_per_s / 8)) as line:
        config = Path(directory) / "gateway.toml"
        config.write_text(f"[limits]\nchunk_bytes = {chunk_bytes}\n", encoding="utf-8")
        addresses = ("--host", "0.0.0.0", "--insecure", "--port", "0", "--admin-port", "0")
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), *addresses]
        with (
            serving("frys", command, LISTENING, servers.SERVER_CORE) as server,
            sync.connect(f"ws://127.0.0.1:{server.port}", client_type="agent", client_id="publisher") as client,
            client.subscribe(TAKEN) as taken,
        ):
            program = "benchmarks.chunks.receiver"
            words = [sys.executable, "-m", program, f"ws://{line.host}:{server.port}", str(sent), str(nbytes)]
            with subprocess.Popen(
                [*line.command, *words], stdout=subprocess.PIPE, text=True, preexec_fn=lambda: bind_to(LOAD_CORE)
            ) as receiver:
                next(taken)
                with child(_publish_urgent, f"ws://127.0.0.1:{server.port}"):
                    process = psutil.Process(server.pid)
                    for number in range(sent):
                        if number == UNMEASURED:
                            before = process.cpu_times()
                        client.publish(LARGE, payload, kind="event", headers={"sent_ns": time.monotonic_ns()})
                        next(taken)
                    after = process.cpu_times()
                output, _ = receiver.communicate(timeout=30)
    if receiver.returncode:
        raise VerificationFailed(f"the receiver has ended with {receiver.returncode}; its traceback is above")
    found = json.loads(output)
    cpu_s = (after.user + after.system - before.user - before.system) / count
    return Measured(tuple(found["large_s"][UNMEASURED:]), tuple(found["urgent_s"]), cpu_s)
