"""Clients of ``arrays.py`` for the peers: ``websockets`` at the hub of forty lines, nats-py, pyzmq at its broker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import nats
import numpy as np
import zmq
import zmq.asyncio
from websockets.asyncio.client import connect

from benchmarks.array_clients import ArrayPlan, AsyncClient, Publish, Started, Take
from benchmarks.stamped_arrays import Array

NATS_BYTES: Final = 1 << 20
"""Largest payload that nats-server takes by default."""


class Acknowledgements:
    """Publishes that wait for an answer; answers come in the order of the publishes."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    def expect(self) -> asyncio.Future[None]:
        """Return the future of the publish that was just sent."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def settle(self) -> None:
        """Take one answer."""
        self._waiting.popleft().set_result(None)


@asynccontextmanager
async def _answered(answers: Callable[[Acknowledgements], Any]) -> AsyncIterator[Acknowledgements]:
    """Run ``answers``, which settles acknowledgements, beside the block."""
    acknowledgements = Acknowledgements()
    task = asyncio.create_task(answers(acknowledgements))
    try:
        yield acknowledgements
    finally:
        task.cancel()
        await asyncio.wait((task,))


@asynccontextmanager
async def publishing_to_hub(plan: ArrayPlan) -> AsyncIterator[Publish]:
    """Connect to the hub, whose answer to each message acknowledges it."""
    async with connect(f"ws://127.0.0.1:{plan.port}", compression=None, ping_interval=None) as connection:

        async def answers(acknowledgements: Acknowledgements) -> None:
            async for _ in connection:
                acknowledgements.settle()

        async with _answered(answers) as acknowledgements:

            async def publish(array: Array) -> None:
                # Expected first: `send` may wait. The copy is what a program without the gateway does.
                answer = acknowledgements.expect()
                await connection.send(array.tobytes())
                await answer

            yield publish


async def receive_from_hub(plan: ArrayPlan, started: Started, take: Take) -> int:
    """Subscribe at the hub."""
    url = f"ws://127.0.0.1:{plan.port}"
    async with connect(url, compression=None, ping_interval=None, max_size=None) as connection:
        await connection.send("subscribe")
        await connection.recv()
        started()
        async for message in connection:
            if take(np.frombuffer(message, np.float32)):  # type: ignore[arg-type]  # the hub sends no text here
                break
    return 0


@asynccontextmanager
async def publishing_to_nats(plan: ArrayPlan) -> AsyncIterator[Publish]:
    """Connect to nats-server. A publish is acknowledged by the PONG to a PING that follows it."""
    client = await nats.connect(f"nats://127.0.0.1:{plan.port}")

    async def publish(array: Array) -> None:
        await client.publish(plan.stream, array.tobytes())
        await client.flush()

    yield publish
    await client.close()


async def receive_from_nats(plan: ArrayPlan, started: Started, take: Take) -> int:
    """Subscribe at nats-server."""
    client = await nats.connect(f"nats://127.0.0.1:{plan.port}")
    subscription = await client.subscribe(plan.stream)
    await client.flush()
    started()
    async for message in subscription.messages:
        if take(np.frombuffer(message.data, np.float32)):
            break
    await client.close()
    return 0


@contextmanager
def _broker(plan: ArrayPlan) -> Any:
    with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(f"tcp://127.0.0.1:{plan.port}")
        yield socket


@asynccontextmanager
async def publishing_to_broker(plan: ArrayPlan) -> AsyncIterator[Publish]:
    """Connect to the broker, whose answer to each message acknowledges it."""
    with _broker(plan) as socket:

        async def answers(acknowledgements: Acknowledgements) -> None:
            while True:
                await socket.recv()
                acknowledgements.settle()

        async with _answered(answers) as acknowledgements:

            async def publish(array: Array) -> None:
                answer = acknowledgements.expect()
                await socket.send(array, copy=False)
                await answer

            yield publish


async def receive_from_broker(plan: ArrayPlan, started: Started, take: Take) -> int:
    """Subscribe at the broker."""
    with _broker(plan) as socket:
        await socket.send(b"subscribe")
        await socket.recv()
        started()
        while not take(np.frombuffer(await socket.recv(copy=False), np.float32)):
            pass
    return 0


HUB: Final = AsyncClient(publishing_to_hub, receive_from_hub)
NATS: Final = AsyncClient(publishing_to_nats, receive_from_nats)
ZMQ: Final = AsyncClient(publishing_to_broker, receive_from_broker)
