"""Bystander: a client that behaves well, and times its own messages, in a process of its own."""

from __future__ import annotations

import asyncio
import time
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

import numpy as np

from benchmarks.sdk_clients import run_client
from benchmarks.slow.plan import RATE_HZ
from gateway.client import Client, Message, Subscription, connect

STREAM: Final = "bystander/beat"
SETTLE_S: Final = 60.0
"""Longest time in which the last messages may come."""


class Outcome(NamedTuple):
    """Result of a measurement, from the time at which a message was due to the time at which it came."""

    sent: int
    received: int
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    problems: tuple[str, ...]
    """Errors that the client met."""


def run_bystander(url: str, core: int, commands: Connection) -> None:
    """Run the program of the process: each command begins a measurement, the next one ends it; ``None`` ends all.

    Args:
        url: URL of the gateway.
        core: core of the process.
        commands: pipe for commands and answers. The first answer says that it is ready.
    """
    run_client(core, Bystander(url, commands).run())


class Bystander:
    """Publisher and subscriber in one process, so that one clock times the messages.

    Args:
        url: URL of the gateway.
        commands: pipe for commands and answers.
    """

    def __init__(self, url: str, commands: Connection) -> None:
        self._url = url
        self._commands = commands
        self._said: asyncio.Queue[object] = asyncio.Queue()
        self._sent = 0
        self._latencies_s: dict[int, float] = {}
        self._problems: list[str] = []

    async def run(self) -> None:
        """Connect, and measure as commanded."""
        asyncio.get_running_loop().add_reader(self._commands.fileno(), self._hear)
        async with (
            connect(self._url, client_id="bystander-publisher", on_error=self._fail) as publisher,
            connect(self._url, client_id="bystander-subscriber", on_error=self._fail) as subscriber,
            subscriber.subscribe(STREAM) as messages,
        ):
            reader = asyncio.create_task(self._read(messages))
            await publisher.publish(STREAM, np.zeros(2), kind="event")
            self._commands.send(None)
            while await self._said.get() is not None:
                self._commands.send(await self._measure(publisher))
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

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
            due_s += 1 / RATE_HZ
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            self._sent += 1
            try:
                publisher.publish_nowait(STREAM, np.array([self._sent, due_s]), kind="event")
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
