"""Scenario ``lagging-readers``: readers of very many streams that do not keep up, beside a publisher to all of them."""

from __future__ import annotations

import ctypes
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from benchmarks.children import PATIENCE_S, SPAWN
from benchmarks.processes import VerificationFailed
from benchmarks.slow.bystander import Outcome
from benchmarks.slow.frames import message, open_stream, subscribe
from benchmarks.slow.plan import LAGGING_P99_MS, Sizes
from benchmarks.slow.raw_client import RawClient
from benchmarks.slow.stage import OTHERS_CORE, idle_only, running, staged
from gateway.protocol.wire import Opcode

ALIASES: Final = 4000
"""Streams that one connection publishes to."""
FRAMES: Final = 100
"""Messages that are sent at once."""
PAYLOAD: Final = bytes(1024)
READ_BYTES: Final = 4096
"""Bytes that each reader reads now and then."""
READ_INTERVAL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of the scenario."""

    sizes: Sizes
    published: int
    quiet: Outcome
    beside: Outcome

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        return (
            "lagging-readers",
            f"{self.sizes.lagging_streams} x {self.sizes.readers}",
            f"{self.published}",
            f"{self.quiet.p99_ms:.1f} to {self.beside.p99_ms:.1f} of {LAGGING_P99_MS:g} ms",
            f"{self.beside.slowest_ms:.0f} ms",
        )

    def broken(self) -> list[str]:
        """Return a line for each broken bound."""
        broken = []
        if not self.beside.p99_ms <= LAGGING_P99_MS:
            broken.append(f"p99 {self.beside.p99_ms:.1f} ms, more than {LAGGING_P99_MS:g} ms")
        if self.beside.received < self.beside.sent:
            broken.append(f"the bystander received {self.beside.received} of its {self.beside.sent} messages")
        broken += [f"the bystander met {problem}" for problem in self.beside.problems[:1]]
        if not self.published:
            broken.append("the publisher got nothing through")
        return [f"lagging-readers: {line}" for line in broken]


HEADER: Final = ("scenario", "streams x readers", "published", "p99", "slowest")


def measure(sizes: Sizes) -> Measured:
    """Measure the scenario.

    Raises:
        VerificationFailed: a process failed.
    """
    with staged() as stage:
        quiet = stage.quiet(sizes.seconds)
        published = SPAWN.RawValue(ctypes.c_uint64, 0)
        ours, theirs = SPAWN.Pipe()
        with ours, running(_run, stage.server.port, sizes, published, theirs):
            theirs.close()
            if not ours.poll(PATIENCE_S) or ours.recv() is not None:
                raise VerificationFailed(f"{sizes.readers} readers did not subscribe in {PATIENCE_S:g} s")
            before = published.value
            stage.begin()
            time.sleep(2 * sizes.seconds)
            beside = stage.end()
            count = published.value - before
    return Measured(sizes, count, quiet, beside)


def _run(port: int, sizes: Sizes, published: Any, commands: Connection) -> None:
    """Run the program of the process: publish to all streams in turn, and let the readers lag, until it is killed."""
    idle_only(OTHERS_CORE)
    publishers = []
    for first in range(0, sizes.lagging_streams, ALIASES):
        publisher = RawClient(port)
        publishers.append(publisher)
        for start in range(first, min(first + ALIASES, sizes.lagging_streams), FRAMES):
            numbers = range(start, min(start + FRAMES, first + ALIASES, sizes.lagging_streams))
            publisher.send(*(open_stream(number - first, f"lagging/s{number}") for number in numbers))
        publisher.settle()
    sequence = itertools.count(1)
    _publish(publishers, sizes, next(sequence), published)
    readers = [RawClient(port, receive_bytes=READ_BYTES, client_id=f"reader-{n}") for n in range(sizes.readers)]
    for reader in readers:
        reader.send(subscribe(1, "lagging/**"))
        reader.wait_for(Opcode.SUBSCRIBED)
    commands.send(None)
    next_read_s = time.monotonic()
    for number in sequence:
        for _ in _publish_part(publishers, sizes, number, published):
            if time.monotonic() > next_read_s:
                next_read_s = time.monotonic() + READ_INTERVAL_S
                for reader in readers:
                    reader.read_some(READ_BYTES)


def _publish(publishers: list[RawClient], sizes: Sizes, sequence: int, published: Any) -> None:
    for _ in _publish_part(publishers, sizes, sequence, published):
        pass


def _publish_part(publishers: list[RawClient], sizes: Sizes, sequence: int, published: Any) -> Iterator[None]:
    """Publish one message to each stream; yield after each part of them."""
    for index, publisher in enumerate(publishers):
        aliases = min(ALIASES, sizes.lagging_streams - index * ALIASES)
        for start in range(0, aliases, FRAMES):
            numbers = range(start, min(start + FRAMES, aliases))
            publisher.send(*(message(number, sequence, PAYLOAD) for number in numbers))
            published.value += len(numbers)
            yield
        publisher.settle()
