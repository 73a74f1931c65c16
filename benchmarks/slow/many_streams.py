"""Scenario ``many-streams``: one subscriber to as many states as the gateway may have."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.children import answer, child
from benchmarks.processes import VerificationFailed, bind_to
from benchmarks.sdk_clients import run_client
from benchmarks.slow.bystander import Outcome
from benchmarks.slow.frames import message, open_stream
from benchmarks.slow.plan import MANY_P99_MS, RECEIVE_ALL_S, Sizes
from benchmarks.slow.raw_client import RawClient
from benchmarks.slow.stage import OTHERS_CORE, Stage, staged
from gateway.client import Subscription, connect
from gateway.protocol.wire import FLAG_ACK, Opcode

PATTERN: Final = "many/**"
ALIASES: Final = 4000
"""Streams that one connection publishes to."""
FRAMES: Final = 200
"""Messages that are sent at once."""
NICENESS: Final = 10
"""Of publisher and subscriber: they use a core for seconds, which may be the bystander's."""
STORE: Final = "slow.db"
VERSION: Final = np.dtype("<i8")


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of one part."""

    part: str
    streams: int
    took_s: float
    """Time until the newest message of each stream had come."""
    beside: Outcome

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        return (
            f"many-streams, {self.part}",
            f"{self.streams}",
            f"{self.took_s:.1f} of {RECEIVE_ALL_S:g} s",
            f"{self.beside.p99_ms:.1f} of {MANY_P99_MS:g} ms",
            f"{self.beside.slowest_ms:.0f} ms",
        )

    def broken(self) -> list[str]:
        """Return a line for each broken bound."""
        broken = []
        if self.took_s > RECEIVE_ALL_S:
            broken.append(f"{self.took_s:.1f} s for the newest of each, more than {RECEIVE_ALL_S:g} s")
        if not self.beside.p99_ms <= MANY_P99_MS:
            broken.append(f"p99 {self.beside.p99_ms:.1f} ms, more than {MANY_P99_MS:g} ms")
        if self.beside.received < self.beside.sent:
            broken.append(f"the bystander received {self.beside.received} of its {self.beside.sent} messages")
        broken += [f"the bystander met {problem}" for problem in self.beside.problems[:1]]
        return [f"many-streams, {self.part}: {line}" for line in broken]


HEADER: Final = ("scenario", "streams", "newest of each", "p99", "slowest")


def measure(sizes: Sizes) -> list[Measured]:
    """Measure a first subscription, one after a lost connection, and one after a restart with a store.

    Raises:
        VerificationFailed: a process failed, or messages were lost.
    """
    measured = []
    with (
        staged() as stage,
        child(run_publisher, stage.server.port, OTHERS_CORE, sizes.streams) as publisher,
        child(run_subscriber, stage.url, OTHERS_CORE, sizes.streams) as subscriber,
    ):
        answer(subscriber)
        _published(publisher, ("open", "memory"))
        _published(publisher, ("publish", 1))
        measured.append(_timed("subscribe", stage, subscriber, sizes, lambda: subscriber.send(("subscribe", 1))))

        def reconnect() -> None:
            subscriber.send(("cut", 2))
            answer(subscriber)
            publisher.send(("publish", 2))

        measured.append(_timed("reconnect", stage, subscriber, sizes, reconnect))
        answer(publisher)
    with tempfile.TemporaryDirectory(prefix="frys-slow-") as folder:
        arguments = ("--store", f"sqlite:{Path(folder) / STORE}")
        with (
            staged(arguments) as stage,
            child(run_publisher, stage.server.port, OTHERS_CORE, sizes.streams) as publisher,
        ):
            _published(publisher, ("open", "os"))
            _published(publisher, ("publish", 1))
        with staged(arguments) as stage, child(run_subscriber, stage.url, OTHERS_CORE, sizes.streams) as subscriber:
            answer(subscriber)
            measured.append(_timed("restart", stage, subscriber, sizes, lambda: subscriber.send(("subscribe", 1))))
    return measured


def _timed(part: str, stage: Stage, subscriber: Connection, sizes: Sizes, start: Callable[[], None]) -> Measured:
    stage.begin()
    begin_s = time.monotonic()
    start()
    count = answer(subscriber)
    took_s = time.monotonic() - begin_s
    beside = stage.end()
    if count != sizes.streams:
        raise VerificationFailed(f"many-streams, {part}: the subscriber has {count} of {sizes.streams} states")
    return Measured(part, sizes.streams, took_s, beside)


def _name(number: int) -> str:
    return f"many/group-{number // 100}/state-{number}"


def _published(publisher: Connection, command: tuple[str, str | int]) -> None:
    publisher.send(command)
    answer(publisher)


def run_publisher(port: int, core: int, count: int, commands: Connection) -> None:
    """Run the program of the publisher's process.

    Commands are ``("open", durability)``, once, and ``("publish", version)`` to each stream; each is answered when the
    gateway has acknowledged all. ``None`` ends it.

    Args:
        port: port of the gateway.
        core: core of the process.
        count: number of streams.
        commands: pipe for commands and answers.
    """
    bind_to(core)
    os.nice(NICENESS)
    publishers: list[RawClient] = []
    while (command := commands.recv()) is not None:
        verb, argument = command
        if verb == "open":
            publishers = _opened(port, count, argument)
        else:
            _publish(publishers, count, argument)
        commands.send(None)


def _opened(port: int, count: int, durability: str) -> list[RawClient]:
    """Return the clients that have opened the streams."""
    publishers = []
    for first in range(0, count, ALIASES):
        publisher = RawClient(port)
        publishers.append(publisher)
        numbers = range(first, min(first + ALIASES, count))
        for start in range(0, len(numbers), FRAMES):
            aliases = range(start, min(start + FRAMES, len(numbers)))
            publisher.send(*(open_stream(alias, _name(first + alias), durability=durability) for alias in aliases))
        publisher.wait_for(Opcode.STREAM, len(numbers))
    return publishers


def _publish(publishers: list[RawClient], count: int, version: int) -> None:
    """Publish a version to each stream; return when all are acknowledged."""
    payload = np.array([version], VERSION).tobytes()
    for index, publisher in enumerate(publishers):
        aliases = min(ALIASES, count - index * ALIASES)
        for start in range(0, aliases, FRAMES):
            batch = range(start, min(start + FRAMES, aliases))
            publisher.send(*(message(alias, version, payload, flags=FLAG_ACK, dtype=VERSION) for alias in batch))
        publisher.wait_for(Opcode.ACK, aliases)


def run_subscriber(url: str, core: int, count: int, commands: Connection) -> None:
    """Run the program of the subscriber's process.

    Commands are ``("subscribe", version)`` and ``("cut", version)``, which cuts the link and answers at once. Then it
    answers with the number of streams that it has in the version, when that is all of them or no more come; ``None``
    ends it.

    Args:
        url: URL of the gateway.
        core: core of the process.
        count: number of streams.
        commands: pipe for commands and answers. The first answer says that it is ready.
    """
    os.nice(NICENESS)
    run_client(core, _subscribe(url, count, commands))


async def _subscribe(url: str, count: int, commands: Connection) -> None:
    async with connect(url, client_id="subscriber-to-all") as client:
        commands.send(None)
        await asyncio.to_thread(commands.poll, None)
        if (command := commands.recv()) is None:
            return
        async with client.subscribe(PATTERN) as messages:
            while command is not None:
                verb, version = command
                if verb == "cut":
                    _cut(url)
                    commands.send(None)
                commands.send(await _newest(messages, count, version))
                await asyncio.to_thread(commands.poll, None)
                command = commands.recv()


async def _newest(messages: Subscription, count: int, version: int) -> int:
    """Receive until all streams have a version, or nothing comes for a minute; return how many have it."""
    seen: set[str] = set()
    with suppress(TimeoutError):
        while len(seen) < count:
            async with asyncio.timeout(60.0):
                received = await anext(messages)
            if received.tensor[0] == version:
                seen.add(received.stream)
    return len(seen)


def _cut(url: str) -> None:
    """Shut down this process's connections to the gateway, as a network does that fails."""
    port = int(url.rpartition(":")[2])
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            duplicate = os.dup(int(name))
            try:
                found = socket.socket(fileno=duplicate)
            except OSError:
                os.close(duplicate)
                continue
            with found:
                if found.family == socket.AF_INET and found.getpeername()[1] == port:
                    found.shutdown(socket.SHUT_RDWR)
