"""Clients of the measurement of adaptation: ``python -m benchmarks.optimizer.adaptation_clients publish|receive URL``.

A publisher of one stream, whose contents change when a line comes on its standard input, and a receiver.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.client import sync

STREAM: Final = "optimizer/arrays"
ELEMENTS: Final = 32 * 1024
"""Elements of a payload, float32: 128 KiB."""
REPEATED: Final = 1000
"""Elements after which a pattern repeats."""
PREPARED: Final = 16
"""Payloads of each kind, sent in turn."""

Array = npt.NDArray[Any]


def picture(number: int) -> Array:
    """Return brightnesses from 0 to 255, as of a photograph: ``pco`` packs them best."""
    places = np.arange(ELEMENTS) + 1000 * number
    noise = np.random.default_rng(number).normal(0, 4, ELEMENTS)
    values = np.round(128 + 60 * np.sin(places / 97) + 40 * np.sin(places / 1013) + noise)
    return np.asarray(np.clip(values, 0, 255), np.float32)


def pattern(number: int) -> Array:
    """Return random numbers that repeat: ``zstd`` packs them best."""
    repeated = np.random.default_rng(number).standard_normal(REPEATED).astype(np.float32)
    return np.resize(repeated, ELEMENTS)


KINDS: Final[dict[str, Callable[[int], Array]]] = {"picture": picture, "pattern": pattern}


def publish(url: str, rate: float, kinds: list[str]) -> None:
    """Publish payloads of the first kind, and of the next one behind each line of the standard input."""
    prepared = [[KINDS[kind](number) for number in range(PREPARED)] for kind in kinds]
    lines = list[str]()
    threading.Thread(target=lambda: lines.extend(iter(sys.stdin.readline, "")), daemon=True).start()
    with sync.connect(url, client_type="agent") as client:
        due_s, number = time.monotonic(), 0
        while True:
            payloads = prepared[min(len(lines), len(prepared) - 1)]
            client.publish(
                STREAM, payloads[number % PREPARED], headers={"sent_s": repr(time.monotonic())}, codec="none"
            )
            number += 1
            due_s = max(due_s + 1 / rate, time.monotonic() - 1.0)
            time.sleep(max(0.0, due_s - time.monotonic()))


def receive(url: str) -> None:
    """Print the time at which each message was published, and that after which it was there as an array."""
    with sync.connect(url, client_type="workflow") as client, client.subscribe(STREAM) as messages:
        for message in messages:
            sent_s = float(message.headers["sent_s"])
            np.asarray(message.tensor)
            print(f"{sent_s!r} {time.monotonic() - sent_s!r}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "publish":
        publish(sys.argv[2], float(sys.argv[3]), sys.argv[4:])
    else:
        receive(sys.argv[2])
