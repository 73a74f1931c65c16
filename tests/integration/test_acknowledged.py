"""What was acknowledged at ``os`` or ``fsync`` is there after the gateway was killed, once, where it was said to be.

Publishers of the SDK go on through all rounds: what they had under way when the gateway was killed they send again to
its successor, which must not publish it twice. ``make chaos`` does many more rounds.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from gateway.client import Backoff, Client, Subscription, connect
from gateway.client.messages.message import Message
from gateway.errors import ConnectionClosed, ConnectionFailed
from tests.integration.killed_gateway import KilledGateway
from tests.integration.peer import until

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "25"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))
ROUND_TIMEOUT_S = 60

QUICK = Backoff(base_s=0.01, cap_s=0.05)
LARGE_ITEMS = 100_000
"""Of int64: more than one chunk."""

CONFIG = """
store = "sqlite:streams.db"

[[streams]]
pattern = "wf/*"
history = { max_messages = 100_000_000, max_bytes = 100_000_000_000, max_age_s = 86_400 }
"""

tokens = count(1)
"""Every message holds a number of its own."""


class Record:
    """What publishers were told of one stream, and what was found in it after a restart.

    Attributes:
        acked: by token, the offset that was acknowledged.
        epochs: that were told; there must be one.
        found: by token, the offset at which it was read.
    """

    publishes_at_once = 6
    """Of each publisher."""

    def __init__(self, name: str, kind: str, durability: str) -> None:
        self.name = name
        self.kind = kind
        self.durability = durability
        self.acked: dict[int, int] = {}
        self.epochs: set[int] = set()
        self.found: dict[int, int] = {}
        self._verified = 0
        """Everything before this offset was found."""

    async def publish(self, client: Client, items: int = 1) -> int:
        """Publish a message and note that it was acknowledged, and where."""
        token = next(tokens)
        array = np.full(items, token)
        result = await client.publish(self.name, array, kind=self.kind, durability=self.durability)
        assert result.durability == self.durability
        assert token not in self.acked
        self.acked[token] = result.offset
        self.epochs.add(result.epoch)
        return result.offset

    async def publish_for_ever(self, client: Client, chance: random.Random) -> None:
        """Publish one message after the other, most of them small."""
        while True:
            try:
                await self.publish(client, LARGE_ITEMS if chance.random() < 0.02 else 1)
            except ConnectionClosed:
                raise  # for good: that may not be
            except ConnectionFailed:
                # Nobody knows what became of it; then it may be there, but not twice.
                continue

    async def verify(self, client: Client) -> None:
        """Read the stream from where the last verification ended: all that was acknowledged by now is there."""
        acked = dict(self.acked)
        last = await self.publish(client)
        async for message in self._read(client, last):
            token = int(message.tensor[0])
            assert token not in self.found, f"published twice: {self.found[token]} and {message.offset}"
            self.found[token] = message.offset
        missing = {token: offset for token, offset in acked.items() if self.found.get(token) != offset}
        assert not missing, f"acknowledged at {self.durability} and not there (token: offset): {missing}"
        assert len(self.epochs) == 1
        self._verified = last + 1

    async def _read(self, client: Client, last: int) -> AsyncIterator[Message]:
        async with client.subscribe(self.name, since=self._verified) as messages:
            expected = self._verified
            async for message in messages:
                # In order, each offset once, without a gap.
                assert message.offset == expected
                expected += 1
                yield message
                if message.offset == last:
                    return


class StateRecord(Record):
    """As :class:`Record`, of a state: only its newest version is kept."""

    async def verify(self, client: Client) -> None:
        """Take the newest version: it is at least as new as the last that was acknowledged."""
        newest = max(self.acked.values(), default=-1)
        async with client.subscribe(self.name) as messages:
            message = await anext(aiter(messages)) if self.acked else None
        if message is not None:
            assert message.offset >= newest
            assert self.acked.get(int(message.tensor[0]), message.offset) == message.offset
        assert len(self.epochs) <= 1


class TaskRecord(Record):
    """As :class:`Record`, of a stream whose receivers acknowledge: each of them gets everything.

    Attributes:
        done: by a receiver that lives through all rounds: everything, once, in order.
        done_in_turns: by one whose process is another one every other moment: nothing is left out.
    """

    publishes_at_once = 1

    def __init__(self, name: str) -> None:
        super().__init__(name, "collaboration", "fsync")
        self.done: list[int] = []
        self.done_in_turns: list[int] = []

    async def begin(self, client: Client, url: str) -> Subscription:
        """Make both receivers known before there is a message; what the first one gets."""
        messages = client.subscribe(self.name)
        await messages.start()
        async with connect(url, client_id="turns") as passing:
            waiting = passing.subscribe(self.name)
            await waiting.start()
        await self.publish(client)
        return messages

    async def work(self, messages: Subscription) -> None:
        """Process everything that comes."""
        async for message in messages:
            assert message.offset == len(self.done)
            self.done.append(int(message.tensor[0]))

    async def work_in_turns(self, url: str, chance: random.Random) -> None:
        """Take some messages, acknowledge all but the last one, and begin again as another process."""
        while True:
            with suppress(ConnectionFailed):
                async with connect(url, client_id="turns", backoff=None) as client:
                    messages = client.subscribe(self.name)
                    for _ in range(chance.randrange(2, 1000)):
                        message = await anext(messages)
                        # An acknowledgement may be lost with the gateway, a message may not.
                        assert message.offset <= len(self.done_in_turns)
                        if message.offset == len(self.done_in_turns):
                            self.done_in_turns.append(int(message.tensor[0]))
            await asyncio.sleep(0.01)

    async def verify(self, client: Client) -> None:
        """Wait until both are through with all that was acknowledged by now."""
        last = await self.publish(client)
        for done in (self.done, self.done_in_turns):
            await until(lambda done=done: len(done) > last)  # type: ignore[misc]
            assert len(set(done)) == len(done)
            missing = {token: offset for token, offset in self.acked.items() if done[offset : offset + 1] != [token]}
            assert not {token: offset for token, offset in missing.items() if offset <= last}
        assert len(self.epochs) == 1


async def watch(client: Client, name: str, seen: dict[int, int]) -> None:
    """A subscriber that lives through all rounds: what it is given stays so, and nothing is left out."""
    async for message in client.subscribe(name, since="beginning"):
        assert message.offset == len(seen), f"{name}: {message.offset} follows {len(seen) - 1}"
        seen[message.offset] = int(message.tensor[0])


@pytest.mark.timeout(120 + 5 * ROUNDS)
async def test_nothing_acknowledged_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    print(f"{ROUNDS} rounds, seed {SEED}")
    chance = random.Random(SEED)
    config = tmp_path / "frys.toml"
    config.write_text(CONFIG)
    work = TaskRecord("wf/tasks")
    records = [
        Record("wf/fsync", "event", "fsync"),
        Record("wf/os", "event", "os"),
        StateRecord("wf/state", "state", "fsync"),
        work,
    ]
    seen: dict[int, int] = {}
    tasks: list[asyncio.Task[None]] = []
    async with KilledGateway(config) as gateway, AsyncExitStack() as clients:
        await gateway.start()
        worker = await clients.enter_async_context(connect(gateway.url, client_id="worker", backoff=QUICK))
        tasks.append(asyncio.create_task(work.work(await work.begin(worker, gateway.url))))
        tasks.append(asyncio.create_task(work.work_in_turns(gateway.url, chance)))
        for record in records:
            for _ in range(2):
                client = await clients.enter_async_context(connect(gateway.url, backoff=QUICK))
                tasks += [
                    asyncio.create_task(record.publish_for_ever(client, chance))
                    for _ in range(record.publishes_at_once)
                ]
        watcher = await clients.enter_async_context(connect(gateway.url, backoff=QUICK))
        tasks.append(asyncio.create_task(watch(watcher, "wf/os", seen)))
        # Before the clients are closed, whatever has failed.
        clients.push_async_callback(cancel, tasks)
        for number in range(ROUNDS):
            if number % 100 == 99:
                print(f"round {number + 1}", flush=True)
            await asyncio.sleep(chance.random() * 0.3)
            await gateway.kill()
            await gateway.start()
            # What is seen from here on may be neither found nor acknowledged yet.
            watched = {(token, offset) for offset, token in seen.items()}
            await verify(gateway, records, tasks)
    assert watched <= records[1].found.items() | records[1].acked.items()
    acked = sum(len(record.acked) for record in records)
    print(f"{acked} publishes were acknowledged, {len(seen)} messages seen by the one who watched")
    assert min(len(record.acked) for record in records) > ROUNDS


async def test_an_orderly_stop_loses_nothing_either(tmp_path: Path) -> None:
    config = tmp_path / "frys.toml"
    config.write_text(CONFIG)
    record = Record("wf/fsync", "event", "fsync")
    async with KilledGateway(config) as gateway:
        for _ in range(2):
            await gateway.start()
            async with connect(gateway.url, backoff=None) as client:
                await asyncio.gather(*(record.publish(client) for _ in range(200)))
                await record.publish(client, LARGE_ITEMS)
                await record.verify(client)
            assert "Traceback" not in await gateway.stop()


async def verify(gateway: KilledGateway, records: list[Record], tasks: list[asyncio.Task[None]]) -> None:
    """Look at all streams; a task that has failed meanwhile is raised."""
    async with asyncio.timeout(ROUND_TIMEOUT_S), connect(gateway.url, backoff=None) as reader:
        for record in records:
            await record.verify(reader)
    for task in tasks:
        if task.done():
            task.result()


async def cancel(tasks: list[asyncio.Task[None]]) -> None:
    """End all tasks."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
