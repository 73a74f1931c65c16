"""Bystander: a client that behaves well, and times its own messages, in a process of its own."""

from __future__ import annotations

import asyncio
import time
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

import numpy as np

from benchmarks.children import answer
from benchmarks.sdk_clients import run_client
from benchmarks.slow.plan import RATE_HZ
from gateway.client import Client, Connecting, Message, Subscription, connect

SETTLE_S: Final = 60.0
"""Longest time in which the last messages may come."""


class Beat(NamedTuple):
    """Messages of a bystander, and the types of the two clients between which they go."""

    stream: str
    kind: str
    per_second: int
    publisher_type: str
    subscriber_type: str


EVENTS: Final = Beat("bystander/beat", "event", RATE_HZ, "agent", "agent")


class Outcome(NamedTuple):
    """Result of a measurement, from the time at which a message was due to the time at which it came."""

    sent: int
    received: int
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    problems: tuple[str, ...]
    """Errors that the client met."""


def run_bystander(url: str, core: int, beat: Beat, commands: Connection) -> None:
    """Run the program of the process: each command begins a measurement, the next one ends it; ``None`` ends all.

    Args:
        url: URL of the gateway.
        core: core of the process.
        beat: its messages.
        commands: pipe for commands and answers. The first answer says that it is ready.
    """
    run_client(core, Bystander(url, beat, commands).run())


def begin(bystander: Connection) -> None:
    """Have the process begin a measurement."""
    bystander.send("begin")


def end(bystander: Connection) -> Outcome:
    """End the measurement; return its result once all messages have come.

    Raises:
        VerificationFailed: the process has failed.
    """
    bystander.send("end")
    outcome: Outcome = answer(bystander)
    return outcome


class Bystander:
    """Publisher and subscriber in one process, so that one clock times the messages.

    Args:
        url: URL of the gateway.
        beat: its messages.
        commands: pipe for commands and answers.
    """

    def __init__(self, url: str, beat: Beat, commands: Connection) -> None:
        self._url = url
        self._beat = beat
        self._commands = commands
        self._said: asyncio.Queue[object] = asyncio.Queue()
        self._sent = 0
        self._latencies_s: dict[int, float] = {}
        self._problems: list[str] = []

    async def run(self) -> None:
        """Connect, and measure as commanded."""
        asyncio.get_running_loop().add_reader(self._commands.fileno(), self._hear)
        beat = self._beat
        async with (
            self._client("bystander-publisher", beat.publisher_type) as publisher,
            self._client("bystander-subscriber", beat.subscriber_type) as subscriber,
            subscriber.subscribe(beat.stream) as messages,
        ):
            reader = asyncio.create_task(self._read(messages))
            await publisher.publish(beat.stream, np.zeros(2), kind=beat.kind)
            self._commands.send(None)
            while await self._said.get() is not None:
                self._commands.send(await self._measure(publisher))
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    def _client(self, client_id: str, client_type: str) -> Connecting:
        return connect(self._url, client_type=client_type, client_id=client_id, on_error=self._fail)

    def _hear(self) -> None:
        try:
            self._said.put_nowait(self._commands.recv())
        except EOFError:
            self._said.put_nowait(None)
            asyncio.get_running_loop().remove_reader(self._commands.fileno())

    def _fail(self, error: Exception) -> None:
        self._problems.append(f"{type(error).__name__}: {error}")

    async def _measure(self, publisher: Client) -> Outcome:
        first = self._sent + 1
        self._latencies_s.clear()
        self._problems.clear()
        due_s = time.perf_counter()
        while self._said.empty():
            due_s += 1 / self._beat.per_second
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            self._sent += 1
            try:
                publisher.publish_nowait(self._beat.stream, np.array([self._sent, due_s]), kind=self._beat.kind)
            except Exception as error:  # noqa: BLE001 - any is one that a good client should not meet
                self._fail(error)
        sent = self._sent - first + 1
        deadline_s = time.perf_counter() + SETTLE_S
        while len(self._latencies_s) < sent and time.perf_counter() < deadline_s:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self._said.get()
        return self._outcome(sent)

    def _outcome(self, sent: int) -> Outcome:
        latencies_ms = np.array([*self._latencies_s.values()] or [np.nan]) * 1e3
        p50, p99, slowest = (float(np.percentile(latencies_ms, share)) for share in (50, 99, 100))
        return Outcome(sent, len(self._latencies_s), p50, p99, slowest, tuple(self._problems))

    async def _read(self, messages: Subscription) -> None:
        async for message in messages:
            self._take(message)

    def _take(self, message: Message) -> None:
        number, due_s = message.tensor
        self._latencies_s[int(number)] = time.perf_counter() - float(due_s)
