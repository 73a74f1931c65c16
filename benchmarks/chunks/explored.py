"""Measurement of larger chunks as plans try them: times until their verdict, and behind it."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks import servers
from benchmarks.chunks.chunks import LOAD_CORE, payload_of
from benchmarks.processes import VerificationFailed, serving
from benchmarks.slow.stage import free_port
from benchmarks.slow_link.slow_link import LISTENING
from gateway.client import sync

LARGE: Final = "chunks/large"
LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Explored:
    """Times of large messages from their publish to the program of the receiver, and the verdict of the plans."""

    before_s: tuple[float, ...]
    """With chunks as WELCOME has them, before the trial began."""
    behind_s: tuple[float, ...]
    """Behind the verdict, with the chunks that it has left."""
    verdict: str
    effect: str
    """Effect that was measured, in words."""


def explore(nbytes: int, seconds: float, content: str) -> Explored:
    """Publish large messages one by one to a receiver on this machine, and note what plans do about their chunks.

    Args:
        nbytes: size of a message.
        seconds: time for which messages are sent behind the verdict.
        content: kind of the payloads.

    Raises:
        VerificationFailed: a message was lost or changed, or no verdict came within a minute.
    """
    os.sched_setaffinity(0, {LOAD_CORE})
    payload, admin_port = payload_of(nbytes, content), free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--admin-port", str(admin_port)]
    before_s: list[float] = []
    behind_s: list[float] = []
    verdict, ends_s, next_look_s = None, time.monotonic() + 60, 0.0
    with (
        serving("frys", command, LISTENING, servers.SERVER_CORE) as server,
        sync.connect(f"ws://127.0.0.1:{server.port}", client_id="publisher") as publisher,
        sync.connect(f"ws://127.0.0.1:{server.port}", client_id="receiver") as receiver,
        receiver.subscribe(LARGE) as messages,
    ):
        while (now_s := time.monotonic()) < ends_s:
            if now_s >= next_look_s:
                on_trial, found = _plans(admin_port)
                next_look_s = now_s + LOOK_S
                if verdict is None and found is not None:
                    verdict, ends_s = found, now_s + seconds
            publisher.publish(LARGE, payload, kind="event")
            if not np.array_equal(next(messages).tensor, payload):
                raise VerificationFailed("a message arrived changed")
            took_s = time.monotonic() - now_s
            if verdict is not None:
                behind_s.append(took_s)
            elif not on_trial:
                before_s.append(took_s)
    if verdict is None:
        raise VerificationFailed("plans have tried no larger chunks within a minute")
    return Explored(tuple(before_s), tuple(behind_s), verdict["verdict"], verdict["effect"])


def row_of(explored: Explored, content: str) -> tuple[str, ...]:
    """Return the row of a table: median times, their ratio, and the verdict."""
    before_s, behind_s = statistics.median(explored.before_s), statistics.median(explored.behind_s)
    times = f"{before_s * 1e3:.1f} ms", f"{behind_s * 1e3:.1f} ms", f"{behind_s / before_s:.2f}"
    return content, *times, explored.verdict, explored.effect


def _plans(admin_port: int) -> tuple[bool, dict[str, Any] | None]:
    """Return whether larger chunks are being tried, and the first verdict on them; ``None``: there is none yet."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/api/v1/plans", timeout=10) as answer:
        plans = json.load(answer)
    on_trial = any(each["knob"] == "chunk_size" and each["on_trial"] for each in plans["settings"])
    judged = [each for each in plans["adjustments"] if each["knob"] == "chunk_size"]
    return on_trial, min(judged, key=lambda each: int(each["number"]), default=None)
