"""Program ``python -m benchmarks.optimizer.adaptation``: how soon encodings follow a slower link, and other contents.

The gateway runs in this process, so that the encoding of the next message is known at any time. Publisher and receiver
are processes of their own; the receiver is behind a line of a network namespace (needs root).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import uvloop

from benchmarks.machine import describe
from benchmarks.optimizer.adaptation_clients import STREAM
from benchmarks.processes import VerificationFailed
from benchmarks.report import concluded, table
from benchmarks.shaped_namespace import Namespace, shaped_namespace
from gateway.app import Gateway
from gateway.config import Settings
from gateway.optimizer.settings import OptimizerSettings
from gateway.optimizer.shadow.shadow_trials import ShadowTrials
from gateway.protocol.encoding import Chain
from gateway.security.settings import SecuritySettings

FAST_BITS_PER_S: Final = 1_000_000_000
SLOW_BITS_PER_S: Final = 10_000_000
QUEUE_S: Final = 0.4
RATE: Final = 20.0
"""Messages a second, of 128 KiB: 21 Mbit/s, plain."""
MOST_S: Final = 3.0
"""Longest time to follow a link."""
MOST_MESSAGES: Final = 200
"""Most messages until other contents are followed."""
POLL_S: Final = 0.02
PATIENCE_S: Final = 60.0


@dataclass(slots=True)
class Received:
    """Delays of messages at the receiver, by the time at which they were published."""

    delays_s: list[tuple[float, float]] = field(default_factory=list)

    def median_ms(self, begin_s: float, end_s: float) -> float:
        """Return the median of those that were published in a span; NaN: there were none."""
        found = [delay_s for sent_s, delay_s in self.delays_s if begin_s <= sent_s < end_s]
        return 1e3 * statistics.median(found) if found else float("nan")


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Result of one change."""

    change: str
    before: str
    after: str
    seconds: float
    messages: int
    delay_before_ms: float
    delay_after_ms: float

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        delays = f"{self.delay_before_ms:.1f} ms", f"{self.delay_after_ms:.1f} ms"
        return (self.change, self.before, self.after, f"{self.seconds:.2f} s", f"{self.messages}", *delays)

    def broken(self) -> list[str]:
        """Return a line for each broken bound."""
        if self.change.startswith("link"):
            kept, bound = self.seconds <= MOST_S, f"{self.seconds:.2f} s, more than {MOST_S:g}"
        else:
            kept, bound = self.messages <= MOST_MESSAGES, f"{self.messages} messages, more than {MOST_MESSAGES}"
        return [] if kept else [f"{self.change}: the encoding has followed after {bound}"]


HEADER: Final = ("change", "encoding before", "behind it", "followed after", "messages", "delay before", "behind it")


class Scene:
    """Gateway, publisher and receiver of one measurement."""

    def __init__(
        self, gateway: Gateway, publisher: subprocess.Popen[str], receiver: subprocess.Popen[str], received: Received
    ) -> None:
        self.gateway = gateway
        self.publisher = publisher
        self.receiver = receiver
        self.received = received

    @property
    def messages(self) -> int:
        """Messages that were published so far."""
        return next((stream.next_offset for stream in self.gateway.core.streams if stream.name == STREAM), 0)

    @property
    def in_force(self) -> tuple[Chain | None, str]:
        """Chain by which the receiver gets the next message but for the blocks of the baseline, and its reason."""
        history = self.gateway._history
        assert isinstance(history, ShadowTrials)
        assert history._learner is not None
        for learned in history._learner.policy:
            guarded = list(learned.decisions.values())
            decided = next((each for each in reversed(guarded) if each.decision is not None), None)
            if decided is not None and decided.decision is not None:
                return decided.decision.chain, decided.decision.reason
        return None, ""

    async def wait(self) -> None:
        """Wait a moment.

        Raises:
            VerificationFailed: a client has ended.
        """
        await asyncio.sleep(POLL_S)
        if self.publisher.poll() is not None or self.receiver.poll() is not None:
            raise VerificationFailed("a client has ended; its traceback is above")

    async def settle(self, seconds: float) -> tuple[Chain | None, str]:
        """Wait until a decision has stood for so long, and return it."""
        end_s, since_s, known = time.monotonic() + PATIENCE_S, time.monotonic(), self.in_force
        while known[0] is None or time.monotonic() - since_s < seconds:
            if time.monotonic() > end_s:
                raise VerificationFailed(f"no decision stands for {seconds:g} s; the last one is {known}")
            await self.wait()
            if self.in_force[0] != known[0]:
                known, since_s = self.in_force, time.monotonic()
        return known

    async def followed(self, change: str, before: Chain | None) -> Adaptation:
        """Measure a change that has just been made."""
        begin_s, first = time.monotonic(), self.messages
        while self.in_force[0] == before:
            if time.monotonic() - begin_s > PATIENCE_S:
                raise VerificationFailed(f"{change}: {before} is still in force after {PATIENCE_S:g} s")
            await self.wait()
        seconds, messages = time.monotonic() - begin_s, self.messages - first
        after, _ = await self.settle(5.0)
        await asyncio.sleep(2.0)
        now_s = time.monotonic()
        delays = self.received.median_ms(begin_s - 5.0, begin_s), self.received.median_ms(now_s - 5.0, now_s - 1.0)
        return Adaptation(change, str(before), str(after), seconds, messages, *delays)


@contextmanager
def clients(gateway: Gateway, namespace: Namespace, *kinds: str) -> Iterator[Scene]:
    """Run a publisher on this machine and a receiver in a namespace, for the length of the block."""
    module = (sys.executable, "-m", "benchmarks.optimizer.adaptation_clients")
    received = Received()
    far = (*namespace.command, *module, "receive", f"ws://{namespace.host}:{gateway.port}")
    near = (*module, "publish", f"ws://127.0.0.1:{gateway.port}", str(RATE), *kinds)
    with (
        subprocess.Popen(far, stdout=subprocess.PIPE, text=True) as receiver,
        subprocess.Popen(near, stdin=subprocess.PIPE, text=True, bufsize=1) as publisher,
    ):

        def read() -> None:
            assert receiver.stdout is not None
            for line in receiver.stdout:
                sent_s, delay_s = line.split()
                received.delays_s.append((float(sent_s), float(delay_s)))

        threading.Thread(target=read, daemon=True).start()
        try:
            yield Scene(gateway, publisher, receiver, received)
        finally:
            publisher.kill()
            receiver.kill()


async def of_link(scene: Scene, namespace: Namespace) -> Adaptation:
    """Measure a link that slows."""
    before, _ = await scene.settle(5.0)
    namespace.set_rate(SLOW_BITS_PER_S)
    return await scene.followed("link from 1 Gbit/s to 10 Mbit/s", before)


async def of_contents(scene: Scene, words: str) -> Adaptation:
    """Measure contents that change their kind."""
    before, _ = await scene.settle(5.0)
    assert scene.publisher.stdin is not None
    scene.publisher.stdin.write("next\n")
    return await scene.followed(f"contents from {words}", before)


async def measure() -> list[Adaptation]:
    """Measure all changes, each with a gateway of its own."""
    results = []
    for change, bits_per_s, kinds in (
        ("link", FAST_BITS_PER_S, ["picture"]),
        ("contents", SLOW_BITS_PER_S, ["picture", "pattern"]),
        ("contents", SLOW_BITS_PER_S, ["pattern", "picture"]),
    ):
        with tempfile.TemporaryDirectory() as directory, shaped_namespace(bits_per_s, QUEUE_S) as namespace:
            settings = Settings(
                host="0.0.0.0",
                security=SecuritySettings(insecure=True),
                port=0,
                admin_port=None,
                drain_deadline_s=1.0,
                optimizer=OptimizerSettings(history_dir=directory),
            )
            gateway = Gateway(settings)
            await gateway.start()
            try:
                with clients(gateway, namespace, *kinds) as scene:
                    if change == "link":
                        results.append(await of_link(scene, namespace))
                    else:
                        results.append(await of_contents(scene, " to ".join(kinds)))
            finally:
                await gateway.stop()
    return results


def main() -> int:
    """Measure, and return the exit code."""
    argparse.ArgumentParser(prog="python -m benchmarks.optimizer.adaptation", description=__doc__).parse_args()
    print(f"# Adaptation\n\n{describe()}\n", flush=True)
    results = uvloop.run(measure())
    print(table(HEADER, [each.row() for each in results]))
    return concluded([line for each in results for line in each.broken()])


if __name__ == "__main__":
    sys.exit(main())
