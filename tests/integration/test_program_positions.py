"""The gateway knows in which streams a program is behind, of both faces of the SDK and of people who write JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import numpy as np
import orjson
import pytest_asyncio

from gateway.app import Gateway
from gateway.client import connect
from gateway.client.sync import connect as connect_blocking
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.link_reading import NamedPosition, link_snapshot
from gateway.protocol.messages import Kind
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import running_gateway
from tests.integration.peer import raw_websocket, until

SETTINGS = Settings(drain_deadline_s=2.0, core=CoreSettings(heartbeat_interval_s=0.1))


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway(SETTINGS) as running:
        yield running


def connection_of(gateway: Gateway, client_id: str) -> Connection:
    (session,) = [session for session in gateway.core.pool if session.peer.client_id == client_id]
    return session.connection


def behind(gateway: Gateway, client_id: str) -> dict[str, tuple[int, int]]:
    """Offset and number of messages of each stream in which a program is behind."""
    positions = link_snapshot(connection_of(gateway, client_id)).behind
    return {position.stream: (position.offset, position.behind) for position in positions}


async def publish(gateway: Gateway, counts: dict[str, int], kind: Kind = Kind.EVENT) -> None:
    async with connect(gateway.url) as author:
        for stream, count in counts.items():
            for number in range(count):
                await author.publish(stream, np.full(2, number), kind=kind)


async def test_a_program_that_does_not_read_is_behind_in_each_stream_until_it_has_read(gateway: Gateway) -> None:
    async with (
        connect(gateway.url, client_id="slow") as client,
        client.subscribe("wf/log") as log,
        client.subscribe("wf/other") as other,
        client.subscribe("wf/pose") as pose,
    ):
        await publish(gateway, {"wf/log": 5, "wf/other": 2})
        await publish(gateway, {"wf/pose": 7}, Kind.STATE)
        await until(lambda: behind(gateway, "slow") == {"wf/log": (0, 5), "wf/other": (0, 2), "wf/pose": (0, 7)})
        assert gateway.admin_url is not None
        async with httpx.AsyncClient() as http:
            (found,) = [
                connection["link"]
                for connection in (await http.get(f"{gateway.admin_url}/api/v1/connections")).json()["connections"]
                if connection["client_id"] == "slow"
            ]
        assert found["streams_behind"] == 3
        assert found["behind"][0] == {"stream": "wf/pose", "offset": 0, "behind": 7}
        assert (await anext(pose)).offset == 6
        for offset in range(2):
            assert (await anext(log)).offset == offset
        await until(lambda: behind(gateway, "slow") == {"wf/log": (2, 3), "wf/other": (0, 2)})
        for messages, count in ((log, 3), (other, 2)):
            for _ in range(count):
                await anext(messages)
        await until(lambda: not behind(gateway, "slow"))


async def test_a_blocking_program_too(gateway: Gateway) -> None:
    def work() -> None:
        with (
            connect_blocking(gateway.url, client_id="slow") as client,
            client.subscribe("wf/pose") as pose,
        ):
            asyncio.run_coroutine_threadsafe(publish_and_look(), loop).result()
            assert next(pose).offset == 4
            asyncio.run_coroutine_threadsafe(until(lambda: not behind(gateway, "slow")), loop).result()

    async def publish_and_look() -> None:
        await publish(gateway, {"wf/pose": 5}, Kind.STATE)
        await until(lambda: behind(gateway, "slow") == {"wf/pose": (0, 5)})

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(work)


async def test_what_a_blocking_program_has_fetched_it_has_not_taken(gateway: Gateway) -> None:
    def work() -> None:
        with (
            connect_blocking(gateway.url, client_id="slow") as client,
            client.subscribe("wf/log") as log,
        ):
            asyncio.run_coroutine_threadsafe(publish(gateway, {"wf/log": 9}), loop).result()
            wait_for({"wf/log": (0, 9)})
            for taken in range(1, 9):
                assert next(log).offset == taken - 1
                if taken % 3 == 0:
                    wait_for({"wf/log": (taken, 9 - taken)})
            next(log)
            wait_for({})

    def wait_for(expected: dict[str, tuple[int, int]]) -> None:
        asyncio.run_coroutine_threadsafe(until(lambda: behind(gateway, "slow") == expected), loop).result()

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(work)


async def test_a_person_who_writes_json_names_streams_by_their_numbers(gateway: Gateway) -> None:
    async with raw_websocket(gateway.url, SUBPROTOCOL_JSON) as websocket:
        await websocket.send(
            '{"message_type":"hello","client_id":"page","client_type":"agent","payload":{"versions":[1]}}'
        )
        await websocket.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/log"}}')
        await publish(gateway, {"wf/log": 5})
        number = None
        while number is None:
            text = orjson.loads(await websocket.recv())
            number = text["payload"]["id"] if text["message_type"] == "stream" else None
        report = {"unread_bytes": 64, "positions": [{"stream": number, "behind": 400, "offset": 2}]}
        await websocket.send(orjson.dumps({"message_type": "report", "payload": report}).decode())
        await until(lambda: bool(behind(gateway, "page")))
        assert link_snapshot(connection_of(gateway, "page")).behind == (NamedPosition("wf/log", 2, 3),)
        await websocket.send('{"message_type":"report","payload":{}}')
        await until(lambda: not behind(gateway, "page"))
