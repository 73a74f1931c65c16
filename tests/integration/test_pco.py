"""Numbers that are published by ``pco`` reach everybody bit for bit: who knows the codec, and who does not."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import Client, View, connect, sync
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.errors import InvalidArgument
from gateway.protocol.dtypes import DTYPES, DTypeLike, dtype_name
from gateway.protocol.negotiation import CodecSettings
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import GatewayProcess, running_gateway, running_gateway_process
from tests.integration.peer import raw_websocket, subscriber_of
from tests.protocol.strategies import same_bits

Array = npt.NDArray[Any]
OLDER = Settings(core=CoreSettings(codecs=CodecSettings(pco=False)))
WALK = np.round(np.cumsum(np.random.default_rng(0).normal(size=1_000_000)), 3)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway() as running:
        yield running


@pytest_asyncio.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    async with connect(gateway.url) as client:
        yield client


def values(element: DTypeLike, count: int) -> Array:
    walk = WALK[:count] * (1 + 2j) if element.kind == "c" else np.abs(WALK[:count]).astype(np.int64) % 50
    return walk.astype(element)


@pytest.mark.parametrize("element", DTYPES, ids=dtype_name)
async def test_every_dtype_and_size(client: Client, element: DTypeLike) -> None:
    async with client.subscribe("wf/*") as messages:
        for count in (0, 1, 30_001, 700_001):
            array = values(element, count)
            result = await client.publish("wf/x", array, kind="event", codec="pco:4")
            assert same_bits((await anext(messages)).tensor, array)
            assert result.bytes_transmitted < max(200, array.nbytes * 0.95)


async def test_a_walk_takes_a_quarter_of_its_bytes(client: Client) -> None:
    result = await client.publish("wf/x", WALK, codec="pco")
    assert result.compression_ratio > 4


async def test_several_tensors_reach_a_late_joiner(gateway: Gateway, client: Client) -> None:
    tensors: dict[str, Array] = {
        "w": WALK[:50_001].astype(np.float32),
        "ids": np.arange(70_000),
        "flags": np.zeros(13, np.bool_),
    }
    await client.publish("wf/s", tensors, kind="state", codec="pco:4")
    async with connect(gateway.url) as late, late.subscribe("wf/s") as messages:
        message = await anext(messages)
        assert all(same_bits(message.tensors[name], array) for name, array in tensors.items())


async def test_a_view_of_what_is_published_by_it(client: Client) -> None:
    async with client.subscribe("wf/*", view=View(np.s_[::3], "float32")) as messages:
        await client.publish("wf/x", WALK, kind="event", codec="pco:4")
        assert same_bits((await anext(messages)).tensor, WALK[::3].astype(np.float32))


async def test_versions_of_a_state_go_out_as_deltas(client: Client) -> None:
    counters = np.random.default_rng(1).integers(0, 1 << 40, 100_000)
    async with client.subscribe("wf/*") as messages:
        for step in range(12):
            counters = counters.copy()
            counters[step::100] += 1
            await client.publish("wf/s", counters, kind="state", codec="pco:4")
            assert same_bits((await anext(messages)).tensor, counters)


async def test_receivers_without_the_codec_get_it_decoded(gateway: Gateway, client: Client) -> None:
    """As browsers, clients of older versions, and people do."""
    async with (
        subscriber_of(gateway.url, "wf/*") as older,
        raw_websocket(gateway.url, SUBPROTOCOL_JSON) as person,
    ):
        await person.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
        await person.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/small"}}')
        arrays = {"wf/small": WALK[:3000], "wf/frame": WALK[:20_000], "wf/large": WALK}
        while orjson.loads(await person.recv())["message_type"] != "subscribed":
            pass
        for name, array in arrays.items():
            await client.publish(name, array, kind="event", codec="pco")
        await older.until(lambda reader: len(reader.arrivals) == len(arrays))
        assert [bytes(arrival.payload) for arrival in older.reader.arrivals] == [a.tobytes() for a in arrays.values()]
        message = orjson.loads(await person.recv())
        while message["message_type"] != "message":
            message = orjson.loads(await person.recv())
        assert base64.b64decode(message["payload"]["data"]) == WALK[:3000].tobytes()


async def test_a_gateway_that_does_not_offer_it_is_not_sent_it() -> None:
    async with running_gateway(OLDER) as older, connect(older.url) as client, client.subscribe("wf/*") as messages:
        with pytest.raises(InvalidArgument, match=r"takes no pco, .* may use lz4, zstd, snappy, shuffle, none$"):
            await client.publish("wf/x", WALK, kind="event", codec="pco:4")
        await client.publish("wf/x", WALK, kind="event")
        assert same_bits((await anext(messages)).tensor, WALK)


async def test_a_client_without_the_library_works_as_before(gateway: Gateway, client: Client) -> None:
    program = """
import sys
sys.modules["pcodec"] = None
from gateway.client import sync
with sync.connect(sys.argv[1]) as client, client.subscribe("wf/*") as messages:
    print("ready", flush=True)
    print(next(messages).tensor.sum())
    client.publish("wf/back", [1.0, 2.0], kind="event")
"""
    command = [sys.executable, "-c", program, gateway.url]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"ready"
    async with client.subscribe("wf/back") as messages:
        await client.publish("wf/x", WALK, kind="event", codec="pco:4")
        np.testing.assert_array_equal((await anext(messages)).tensor, [1.0, 2.0])
    assert float((await process.stdout.readline()).decode()) == WALK.sum()
    assert await process.wait() == 0


@pytest.fixture
def process(tmp_path: Path) -> Iterator[GatewayProcess]:
    store = tmp_path / "streams.db"
    with running_gateway_process("--store", f"sqlite:{store}") as running:
        yield running


def test_the_blocking_client_and_a_durable_stream(process: GatewayProcess) -> None:
    with sync.connect(process.url) as client:
        client.publish("wf/s", WALK, kind="state", durability="fsync", codec="pco:8")
        with client.subscribe("wf/*") as messages:
            assert same_bits(next(messages).tensor, WALK)


async def test_what_was_stored_before_it_was_turned_off_stays_readable(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'streams.db'}"
    async with running_gateway(Settings(store=store)) as first, connect(first.url) as client:
        for name, array in (("wf/frame", WALK[:20_000]), ("wf/large", WALK)):
            await client.publish(name, array, kind="state", durability="fsync", codec="pco")
    settings = Settings(store=store, core=OLDER.core)
    async with running_gateway(settings) as second, connect(second.url) as client:
        for name, array in (("wf/frame", WALK[:20_000]), ("wf/large", WALK)):
            async with client.subscribe(name) as messages:
                assert same_bits((await anext(messages)).tensor, array)
