"""Publishing from signal handlers and finalizers, which interrupt the client anywhere: nothing is lost or disordered.

Each source numbers its messages, and takes every shape in turn: records of the batch that is open, records of another
one, numbers, messages with headers, full batches, large messages.
"""

import asyncio
import asyncio.base_events
import asyncio.selector_events
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

import gateway.client
from gateway.client import Client, connect, sync
from gateway.protocol.tensors import Array
from gateway.testing import GatewayProcess, running_gateway_process
from tests.client.storm import Storm

MESSAGES: Final = 1500
STREAM: Final = "storm/x"
Interrupt = Callable[[int], object]


@pytest.fixture(scope="module")
def gateway_process() -> Iterator[GatewayProcess]:
    with running_gateway_process() as running:
        yield running


def value_of(number: int, source: int) -> tuple[Array, dict[str, int] | None]:
    """A message of one of the sources 0, 1 and 2, with its number, and its headers."""
    if number % 300 == 299:
        return np.full(8192, 3 * number + source, "f8"), None
    shape = ((10,), (11,), (), (10,))[number % 4]
    return np.full(shape, 3 * number + source, "f8"), {"n": number} if number % 4 == 3 else None


def numbers_of(values: list[int], source: int) -> list[int]:
    """The numbers of the messages of one source, in the order of their arrival."""
    return [value // 3 for value in values if value % 3 == source]


def send(client: Client | sync.Client, number: int, source: int) -> None:
    """Publish without waiting."""
    value, headers = value_of(number, source)
    client.publish_nowait(STREAM, value, kind="event", headers=headers)


class Reader:
    """Everything that arrives, in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._client = sync.connect(url)
        self._messages = self._client.subscribe(STREAM)
        self._messages.start()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.values: list[int] = []

    def _read(self) -> None:
        for message in self._messages:
            self.values.append(round(float(message.tensor.flat[0])))

    def all(self, *counts: int) -> list[list[int]]:
        """Wait for so many messages of each source, and return the numbers of those that came."""
        while len(self.values) < sum(counts) and self._thread.is_alive():
            self._thread.join(0.01)
        self._messages.close()
        self._thread.join()
        self._client.close()
        return [numbers_of(self.values, source) for source in range(len(counts))]


@pytest.mark.parametrize("stride", [29, 97, 401])
def test_an_async_client_that_is_interrupted_anywhere(gateway_process: GatewayProcess, stride: int) -> None:
    async def publish() -> int:
        async with connect(gateway_process.url) as client:
            modules = gateway.client, asyncio.base_events, asyncio.selector_events
            storm = Storm(lambda number: send(client, number, 1), *modules, stride=stride)
            with storm:
                for number in range(MESSAGES):
                    storm.left = min(storm.left + 3, 20)
                    if number % 50 == 11:
                        size = 200_000 if number % 100 == 11 else 10
                        await client.publish(STREAM, np.full(size, 3 * number, "f8"), kind="event")
                    else:
                        send(client, number, 0)
                    if number % 100 == 99:
                        await client.drain()
            return storm.count

    reader = Reader(gateway_process.url)
    count = asyncio.run(publish())
    assert count > MESSAGES
    assert reader.all(MESSAGES, count) == [list(range(MESSAGES)), list(range(count))]


@pytest.mark.parametrize("stride", [29, 97, 401])
def test_a_blocking_client_that_is_interrupted_anywhere(gateway_process: GatewayProcess, stride: int) -> None:
    """The thread of the program publishes and waits as well, as its signal handlers do; the loop's does not wait."""
    client: sync.Client

    def interrupt(number: int) -> None:
        if number % 10 == 7:
            value, headers = value_of(number, 1)
            client.publish(STREAM, value, kind="event", headers=headers, timeout_s=None)
        else:
            send(client, number, 1)

    storm = Storm(interrupt, gateway.client, asyncio.base_events, asyncio.selector_events, stride=stride)
    other = Storm(lambda number: send(client, number, 2), gateway.client, asyncio.selector_events, stride=stride)
    measurement = threading.gettrace()
    threading.settrace(other.trace)
    try:
        client = sync.connect(gateway_process.url)
    finally:
        threading.settrace(measurement)
    reader = Reader(gateway_process.url)
    with storm:
        for number in range(MESSAGES):
            storm.left, other.left = min(storm.left + 3, 20), min(other.left + 3, 20)
            if number % 50 == 11:
                size = 200_000 if number % 100 == 11 else 10
                client.publish(STREAM, np.full(size, 3 * number, "f8"), kind="event")
            else:
                send(client, number, 0)
            if number % 100 == 99:
                client.drain()
    other.left = 0
    client.close()
    assert storm.count > MESSAGES
    assert other.count > MESSAGES
    assert reader.all(MESSAGES, storm.count, other.count) == [
        list(range(count)) for count in (MESSAGES, storm.count, other.count)
    ]


@pytest.mark.parametrize("how", ["signal.signal", "loop.add_signal_handler"])
def test_signals_while_an_async_client_publishes(gateway_process: GatewayProcess, how: str) -> None:
    sent, handling = 0, False

    async def publish() -> None:
        loop = asyncio.get_running_loop()
        async with connect(gateway_process.url) as client:

            def handle(*_: object) -> None:
                nonlocal sent, handling
                if not handling:  # another signal may come meanwhile
                    handling = True
                    send(client, sent, 1)
                    sent += 1
                    handling = False

            if how == "signal.signal":
                signal.signal(signal.SIGVTALRM, handle)
            else:
                loop.add_signal_handler(signal.SIGVTALRM, handle)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005, 0.0005)
            number = 0
            while number < 10_000 or sent < 20:
                send(client, number, 0)
                number += 1
                if number % 100 == 99:
                    await client.drain()
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            if how == "loop.add_signal_handler":
                # A signal that the loop has not seen yet would be handled while the client closes, which sends no more.
                loop.remove_signal_handler(signal.SIGVTALRM)
            await asyncio.sleep(0)
            counts.append(number)

    counts: list[int] = []
    reader = Reader(gateway_process.url)
    before = signal.getsignal(signal.SIGVTALRM)
    try:
        asyncio.run(publish())
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert reader.all(counts[0], sent) == [list(range(counts[0])), list(range(sent))]


def test_a_signal_handler_wakes_a_client_that_waits(tmp_path: Path) -> None:
    async def main(url: str) -> None:
        async with connect(url) as client:
            signal.signal(signal.SIGUSR1, lambda *_: send(client, 0, 0))
            # The loop waits for its sockets when the signal comes, and nothing else wakes it.
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            await asyncio.get_running_loop().run_in_executor(None, until_arrived)

    def until_arrived() -> None:
        while not reader.values:
            threading.Event().wait(0.01)

    config = tmp_path / "frys.toml"
    config.write_text("heartbeat_interval_s = 600\n")
    before = signal.getsignal(signal.SIGUSR1)
    try:
        with running_gateway_process("--config", str(config)) as running:
            reader = Reader(running.url)
            asyncio.run(main(running.url))
            assert reader.all(1) == [[0]]
    finally:
        signal.signal(signal.SIGUSR1, before)
