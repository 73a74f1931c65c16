"""Serving: on the gateway's loop, without touching its signals or its log, and stopped in good order."""

from __future__ import annotations

import asyncio
import logging
import math
import signal

import httpx
import numpy as np
import pytest

from gateway.admin.log_ring import LogRing
from gateway.admin.port import AdminPort
from gateway.admin.serving import AdminServer
from gateway.app import Gateway
from gateway.config import Settings
from gateway.testing import running_gateway
from tests.admin.files import saved

FILE = saved(np.zeros(4 * 1024 * 1024))


async def test_signals_stay_whose_they_are(http: httpx.AsyncClient) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    await http.get("/healthz")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


async def test_the_log_stays_as_it_was_set_up(http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await http.get("/healthz")
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]
    assert [type(handler) for handler in logging.getLogger("uvicorn").handlers] == [LogRing]


async def test_it_serves_until_it_is_told_to_stop(gateway: Gateway) -> None:
    port = await AdminPort.bind("127.0.0.1", 0)
    server = AdminServer(gateway.core, math.inf, LogRing())
    listening = port._listening
    serving = asyncio.ensure_future(server.serve(listening))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port.port}") as client:
        assert (await client.get("/healthz")).status_code == 200
        server.stop()
        await serving
        with pytest.raises(httpx.TransportError):
            await client.get("/healthz")
    assert listening.fileno() == -1


async def test_an_answer_under_way_is_finished() -> None:
    async with running_gateway(Settings(admin_port=0)) as gateway:
        async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=30) as client:
            await client.put("/api/v1/streams/wf/a", content=FILE)
            async with client.stream("GET", "/api/v1/streams/wf/a") as response:
                stop = asyncio.ensure_future(gateway.stop())
                assert await response.aread() == FILE
        await stop


async def test_a_request_that_is_none_is_answered(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.admin_port)
    writer.write(b"\0\0\0\0 no HTTP\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_a_websocket_client_is_told_the_right_path(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    await http.get("/healthz", headers=headers)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == [
        "a WebSocket client came to the admin port, which has WebSockets at /ws only"
    ]
