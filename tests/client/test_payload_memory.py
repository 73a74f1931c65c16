"""Payloads are given back right when the program has dropped them, by counting references: the cycle collector is off.

Each case has clients publish, receive, ask, fail and be cut off, and then counts the memory that Python has allocated
in this process. The gateway has one of its own.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from gateway.client import Backoff, Subscription, connect, sync
from gateway.errors import FrysError
from gateway.protocol.views import View
from gateway.testing import running_gateway_process
from tests.client.waiting import until
from tests.collector import memory_traced
from tests.integration.proxy import CuttingProxy, Way, cutting_proxy

SMALL, LARGE = 64 * 1024, 512 * 1024
"""Numbers of float32: messages of 256 KiB travel in one frame, those of 2 MiB in chunks."""
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["one frame", "chunks"])
NOISE_BYTES = 2 * SMALL
"""Memory that the objects of a case may still take, half of the smallest payload: names, counters, caches."""
AGAIN = Backoff(base_s=0, cap_s=0, later_s=0)

_numbers = count()

Case = Callable[[], Awaitable[object]]


def payload(size: int) -> npt.NDArray[np.float32]:
    """An array that compresses, to something."""
    return np.random.default_rng(size).integers(0, 4, size).astype(np.float32)


def fresh(name: str) -> str:
    """A stream that no case has used."""
    return f"memory/{name}-{next(_numbers)}"


def waiting(messages: Subscription) -> bool:
    """Whether messages wait for the program."""
    return messages.stats.buffered_bytes > 0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_gateway_process() as running:
        yield running.url


@pytest_asyncio.fixture
async def proxy(url: str) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(url) as running:
        yield running


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    with memory_traced():
        yield


async def check(case: Case) -> None:
    """Run a case twice: what the first run leaves, the second may leave again, but no more."""
    await case()
    gc.collect()
    tracemalloc.start()
    await case()
    assert tracemalloc.get_traced_memory()[1] > 4 * SMALL, "the case has no payload"
    await until(lambda: tracemalloc.get_traced_memory()[0] < NOISE_BYTES)


@SIZES
async def test_published_and_received(url: str, size: int) -> None:
    async def case() -> None:
        async with connect(url) as publisher, connect(url) as receiver:
            for kind in ("state", "event", "collaboration", "control"):
                stream = fresh(kind)
                async with receiver.subscribe(stream) as messages:
                    for codec in ("none", "zstd"):
                        await publisher.publish(stream, payload(size), kind=kind, codec=codec)
                        message = await anext(messages)
                        assert message.tensor.nbytes == 4 * size

    await check(case)


@SIZES
async def test_messages_that_nobody_takes_out(url: str, size: int) -> None:
    async def case() -> None:
        async with connect(url) as publisher, connect(url) as receiver:
            stream = fresh("unread")
            messages = receiver.subscribe(stream, buffer_bytes=1)
            await messages.start()
            for _ in range(3):
                await publisher.publish(stream, payload(size), kind="event")
            await until(lambda: messages.stats.buffered_bytes > 0)
            await messages.close()

    await check(case)


async def test_a_client_that_is_dropped(url: str) -> None:
    async def case() -> None:
        publisher, receiver = await connect(url), await connect(url)
        stream = fresh("dropped")
        messages = receiver.subscribe(stream)
        await messages.start()
        await publisher.publish(stream, payload(SMALL))
        await publisher.publish(stream, payload(LARGE))
        await until(partial(waiting, messages))
        with pytest.warns(ResourceWarning):
            del publisher, receiver, messages

    await check(case)


@SIZES
async def test_a_loop_that_raises(url: str, size: int) -> None:
    async def case() -> None:
        async with connect(url) as client:
            stream = fresh("raises")
            with suppress(ZeroDivisionError):
                async with client.subscribe(stream) as messages:
                    await client.publish(stream, payload(size), kind="collaboration")
                    async for message in messages:
                        assert message.tensor.size / 0

    await check(case)


@SIZES
async def test_a_publish_that_is_refused(url: str, size: int) -> None:
    async def case() -> None:
        refused = asyncio.Event()
        async with connect(url, on_error=lambda error: refused.set()) as client:
            stream = fresh("refused")
            await client.publish(stream, 1, kind="event")
            with suppress(FrysError):
                await client.publish(stream, payload(size), kind="state")
            with suppress(FrysError):
                client.publish_nowait(stream, payload(size), kind="state")
            await client.drain()

    await check(case)


@SIZES
@pytest.mark.parametrize("end", ["cancelled", "lost", "closed"])
async def test_a_publish_that_gets_no_answer(proxy: CuttingProxy, size: int, end: str) -> None:
    async def case() -> None:
        client = await connect(proxy.url, backoff=None if end == "lost" else AGAIN, close_timeout_s=0.1)
        await client.publish(stream := fresh("unanswered"), 1)
        proxy.hold(Way.TO_GATEWAY)
        proxy.hold(Way.TO_CLIENT)
        publishing = asyncio.create_task(client.publish(stream, payload(size)))
        await asyncio.sleep(0)
        if end == "cancelled":
            publishing.cancel()
        elif end == "lost":
            proxy.cut()
        elif end == "closed":
            await client.close()
        await asyncio.wait([publishing])  # its error would refer to this function, which refers to the task
        if not publishing.cancelled():
            publishing.exception()
        del publishing
        proxy.cut()
        await client.close()

    await check(case)


@SIZES
async def test_connections_that_are_cut_while_messages_come_and_go(proxy: CuttingProxy, size: int) -> None:
    async def case() -> None:
        async with connect(proxy.url, backoff=AGAIN, on_error=lambda error: None) as client:
            stream = fresh("cut")
            async with client.subscribe(stream, since="beginning") as messages:
                for way in Way:
                    proxy.cut_after(way, 3 * size)
                    await client.publish(stream, payload(size), kind="event")
                    with suppress(FrysError):
                        await client.publish(stream, payload(size), kind="event")
                    for _ in range(2):
                        await anext(messages)

    await check(case)


@SIZES
async def test_requests_and_their_ends(url: str, size: int) -> None:
    async def case() -> None:
        async with connect(url) as asker, connect(url, client_id=f"replier-{next(_numbers)}") as replier:
            address = f"agent:{replier.client_id}"

            async def answer() -> None:
                async with replier.inbox() as requests:
                    async for request in requests:
                        if request.headers.get("how") == "reply":
                            await request.reply_partial(request.tensor)
                            await request.reply(request.tensor)
                        elif request.headers.get("how") == "fail":
                            await request.fail("no")

            answering = asyncio.create_task(answer())
            await until(lambda: bool(replier._core.responder.inboxes))
            reply = await asker.request(address, payload(size), headers={"how": "reply"})
            assert reply.tensor.nbytes == 4 * size
            async for _ in asker.request_stream(address, payload(size), headers={"how": "reply"}):
                pass
            for how, to in (("fail", address), ("wait", address), ("nobody", "agent:nobody")):
                with suppress(FrysError):
                    await asker.request(to, payload(size), headers={"how": how}, timeout_s=0.1)
            stream = asker.request_stream(address, payload(size), headers={"how": "reply"})
            await anext(stream)
            stream.close()
            answering.cancel()
            with suppress(asyncio.CancelledError):
                await answering

    await check(case)


async def test_views_batches_and_patches(url: str) -> None:
    async def case() -> None:
        async with connect(url) as publisher, connect(url) as receiver:
            stream = fresh("field")
            async with (
                receiver.subscribe(stream, view=View(np.s_[::2])) as views,
                receiver.subscribe(f"{stream}-events") as records,
            ):
                await publisher.publish(stream, payload(LARGE))
                await publisher.publish(stream, payload(SMALL), region=np.s_[:SMALL])
                await anext(views)
                for _ in range(8):
                    publisher.publish_nowait(f"{stream}-events", payload(SMALL // 8), kind="event")
                await publisher.drain()
                async for batch in records.batches():
                    if batch.offset + batch.count == 8:
                        break
            with suppress(FrysError):
                await receiver.subscribe(stream, view=View(np.s_[:, 3])).start()

    await check(case)


def test_a_blocking_client(url: str) -> None:
    def case() -> None:
        with sync.connect(url) as publisher, sync.connect(url) as receiver:
            stream = fresh("blocking")
            with receiver.subscribe(stream) as messages:
                for size in (SMALL, LARGE):
                    publisher.publish(stream, payload(size))
                    assert next(messages).tensor.nbytes == 4 * size
            with suppress(FrysError):
                publisher.publish(stream, payload(LARGE), kind="event")
            with suppress(FrysError):
                publisher.request("agent:nobody", payload(LARGE))

    case()
    gc.collect()
    tracemalloc.start()
    case()
    assert tracemalloc.get_traced_memory()[1] > 4 * SMALL, "the case has no payload"
    while tracemalloc.get_traced_memory()[0] > NOISE_BYTES:  # the test's own time limit ends a wait in vain
        time.sleep(0.001)
