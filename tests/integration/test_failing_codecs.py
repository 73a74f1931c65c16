"""A codec that fails in any way costs one message: its receivers are told, and everybody stays connected."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Client, View, connect, sync
from gateway.config import Settings
from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs import COMPRESSORS
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import running_gateway
from tests.integration.peer import raw_websocket, subscriber_of

INLINE, IN_A_THREAD, IN_CHUNKS = 4096, 200 * 1024, 3 * 1024 * 1024


class Panic(BaseException):
    """As libraries in Rust raise it."""


FAULTS = [IndexError("index out of range"), MemoryError(), Panic("at the disco"), b"short"]


@contextlib.contextmanager
def failing(fault: BaseException | bytes) -> Iterator[None]:
    """Have ``zstd`` fail on whatever it is to decode, on both ends."""

    def decode(*_: object) -> bytes:
        if isinstance(fault, BaseException):
            raise fault
        return fault

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(COMPRESSORS["zstd"]), "decode", decode)
        yield


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with running_gateway(Settings(admin_port=None, store=f"sqlite:///{tmp_path / 'streams.db'}")) as running:
        yield running


async def publish(publisher: Client, size: int, durability: str) -> None:
    array = np.arange(size // 4, dtype=np.int32)
    await publisher.publish("wf/x", array, kind="event", durability=durability, codec="zstd")


async def is_told(errors: asyncio.Queue[Exception]) -> bool:
    error = await errors.get()
    return isinstance(error, RequestRefused) and error.code == Code.CORRUPT_PAYLOAD and errors.empty()


@pytest.mark.parametrize("size", [INLINE, IN_A_THREAD, IN_CHUNKS])
@pytest.mark.parametrize("durability", ["memory", "os"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_a_subscriber_is_told_and_gets_the_next_message(
    gateway: Gateway, fault: BaseException | bytes, durability: str, size: int
) -> None:
    errors = asyncio.Queue[Exception]()
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url, client_id="viewer") as viewer,
        viewer.subscribe("wf/x", on_error=errors.put_nowait) as messages,
    ):
        session = gateway.core.pool.newest_of("viewer")
        with failing(fault):
            await publish(publisher, size, durability)
            assert await is_told(errors)
            async with (
                connect(gateway.url, on_error=errors.put_nowait) as late,
                late.subscribe("wf/x", since="beginning"),
            ):
                assert await is_told(errors)
        await publish(publisher, size, durability)
        assert (await anext(messages)).offset == 1
        assert gateway.core.pool.newest_of("viewer") is session


@pytest.mark.parametrize("size", [INLINE, IN_A_THREAD, IN_CHUNKS])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
async def test_receivers_for_whom_the_gateway_decodes_get_a_gap(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, fault: BaseException | bytes, size: int
) -> None:
    errors, gaps = asyncio.Queue[Exception](), list[Any]()
    async with (
        connect(gateway.url) as publisher,
        connect(gateway.url) as viewer,
        viewer.subscribe("wf/x", view=View(np.s_[::2]), on_gap=gaps.append, on_error=errors.put_nowait) as messages,
        subscriber_of(gateway.url, "wf/x", "without-codecs") as plain,
        raw_websocket(gateway.url, SUBPROTOCOL_JSON) as page,
    ):
        for request in (
            {"message_type": "hello", "client_type": "agent", "payload": {"versions": [1]}},
            {"id": 1, "message_type": "subscribe", "payload": {"pattern": "wf/x"}},
        ):
            await page.send(orjson.dumps(request).decode())

        async def next_on_page() -> dict[str, Any]:
            while True:
                text: dict[str, Any] = orjson.loads(await page.recv())
                if text["message_type"] in ("message", "gap"):
                    return text

        await publish(publisher, INLINE, "memory")
        assert (await next_on_page())["offset"] == (await anext(messages)).offset == 0
        with failing(fault):
            await publish(publisher, size, "memory")
            told = await next_on_page()
            assert (told["message_type"], told["payload"]["code"]) == ("gap", Code.CORRUPT_PAYLOAD)
            assert await is_told(errors)
            await plain.until(lambda reader: reader.gaps)
        await publish(publisher, size, "memory")
        assert (await next_on_page())["offset"] == (await anext(messages)).offset == 2
        await plain.until(lambda reader: len(reader.arrivals) == 2)
        assert [(gap.code, gap.first, gap.last) for gap in plain.reader.gaps] == [(Code.CORRUPT_PAYLOAD, 1, 1)]
        assert [gap.code for gap in gaps] == [Code.CORRUPT_PAYLOAD]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_blocking_client_is_told_and_gets_the_next_message(gateway: Gateway) -> None:
    def take() -> tuple[int, list[int]]:
        errors = queue.SimpleQueue[Exception]()
        with (
            sync.connect(gateway.url) as client,
            client.subscribe("wf/x", since="beginning", on_error=errors.put) as messages,
        ):
            error = errors.get()
            assert isinstance(error, RequestRefused)
            fixed.close()
            client.publish("wf/x", np.zeros(INLINE), codec="zstd")
            return error.code, [next(messages).offset]

    with contextlib.ExitStack() as fixed:
        fixed.enter_context(failing(IndexError("index out of range")))
        async with connect(gateway.url) as publisher:
            await publish(publisher, INLINE, "memory")
        assert await asyncio.to_thread(take) == (Code.CORRUPT_PAYLOAD, [1])
