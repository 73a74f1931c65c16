"""Clients of ``arrays.py`` that are the SDK: the async and the blocking one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final

from benchmarks.array_clients import ArrayPlan, AsyncClient, BlockingClient, Publish, Started, Take
from benchmarks.stamped_arrays import Array
from gateway.client import connect, sync


def _url(plan: ArrayPlan) -> str:
    return f"ws://127.0.0.1:{plan.port}"


@asynccontextmanager
async def publishing(plan: ArrayPlan) -> AsyncIterator[Publish]:
    """Connect, and delete the stream in the end: the gateway keeps the newest version of a state."""
    async with connect(_url(plan), client_id="publisher") as client:
        yield partial(client.publish, plan.stream, kind=plan.kind)
        await client.delete(plan.stream)


async def receive(plan: ArrayPlan, started: Started, take: Take) -> int:
    """Subscribe, and take the tensor of each message."""
    async with (
        connect(_url(plan), client_id="subscriber") as client,
        client.subscribe(plan.stream) as messages,
    ):
        started()
        async for message in messages:
            if take(message.tensor):
                break
        return messages.stats.conflated


@contextmanager
def publishing_blocking(plan: ArrayPlan) -> Iterator[Callable[[Array], object]]:
    """Connect by the blocking client, and delete the stream in the end."""
    with sync.connect(_url(plan), client_id="publisher") as client:
        yield partial(client.publish, plan.stream, kind=plan.kind)
        client.delete(plan.stream)


def receive_blocking(plan: ArrayPlan, started: Started, take: Take) -> int:
    """Subscribe by the blocking client, and take the tensor of each message."""
    with (
        sync.connect(_url(plan), client_id="subscriber") as client,
        client.subscribe(plan.stream) as messages,
    ):
        started()
        for message in messages:
            if take(message.tensor):
                break
        return messages.stats.conflated


SDK: Final = AsyncClient(publishing, receive)
BLOCKING_SDK: Final = BlockingClient(publishing_blocking, receive_blocking)
