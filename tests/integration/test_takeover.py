"""Two clients with one ``client_id``: the earlier one is told; a client that comes back is no other one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect as websocket
from websockets.typing import Subprotocol

from gateway.app import Gateway
from gateway.client import Notice, connect, sync
from gateway.client.options import Backoff
from gateway.config.settings import Settings
from gateway.errors import Code
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing.running import running_gateway
from tests.integration.peer import until
from tests.integration.proxy import cutting_proxy


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway without an admin port."""
    async with running_gateway(Settings(admin_port=None)) as running:
        yield running


AT_ONCE = Backoff(base_s=0.01, cap_s=0.01)


async def test_the_earlier_client_is_told_by_whom_and_where_from(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    notices: asyncio.Queue[Notice] = asyncio.Queue()
    async with connect(gateway.url, client_id="worker", on_notice=notices.put_nowait) as earlier:
        with caplog.at_level(logging.WARNING):
            async with connect(gateway.url, client_id="worker", on_notice=notices.put_nowait):
                notice = await notices.get()
        assert (notice.code, notice.client_id, notice.stream) == (Code.SUPERSEDED, "worker", "")
        assert "from 127.0.0.1:" in notice.reason
        assert "frys-python/" in notice.reason
        assert {record.name for record in caplog.records if "worker" in record.getMessage()} == {
            "gateway.client",
            "gateway.connections.sessions.greeting",
        }
        await earlier.publish("wf/loss", 1.0)
        assert notices.empty()
    assert gateway.core.superseded_connections == 1


async def test_a_client_that_reconnects_gives_no_alarm(gateway: Gateway) -> None:
    notices: list[Notice] = []
    async with (
        cutting_proxy(gateway.url) as proxy,
        connect(proxy.url, client_id="worker", backoff=AT_ONCE, on_notice=notices.append) as client,
    ):
        for _ in range(3):
            await client.publish("wf/loss", 1.0)
            proxy.cut()
        await client.publish("wf/loss", 1.0)
    assert (notices, gateway.core.superseded_connections) == ([], 0)


async def test_a_json_client_is_told_and_counts_as_another(gateway: Gateway) -> None:
    hello = {"message_type": "hello", "client_type": "agent", "client_id": "page", "payload": {"versions": [1]}}
    async with websocket(gateway.url, subprotocols=[Subprotocol(SUBPROTOCOL_JSON)]) as earlier:
        await earlier.send(orjson.dumps(hello).decode())
        assert orjson.loads(await earlier.recv())["message_type"] == "welcome"
        async with websocket(gateway.url, subprotocols=[Subprotocol(SUBPROTOCOL_JSON)]) as newer:
            await newer.send(orjson.dumps(hello).decode())
            notice = orjson.loads(await earlier.recv())
    assert notice["message_type"] == "notice"
    assert notice["payload"].keys() == {"code", "reason", "client_id"}
    assert (notice["payload"]["code"], notice["payload"]["client_id"]) == (Code.SUPERSEDED, "page")


async def test_the_blocking_client_is_told_as_well(gateway: Gateway) -> None:
    notices: list[Notice] = []

    def play() -> None:
        with (
            sync.connect(gateway.url, client_id="worker", on_notice=notices.append) as earlier,
            sync.connect(gateway.url, client_id="worker"),
        ):
            earlier.publish("wf/loss", 1.0)

    await asyncio.to_thread(play)
    await until(lambda: notices)
    assert [notice.code for notice in notices] == [Code.SUPERSEDED]
