"""Who works with whom: what real clients do shows in the admin API, by itself."""

from __future__ import annotations

import asyncio

import httpx
import numpy as np
import pytest

from gateway.client import Client, connect
from gateway.config import Settings
from gateway.connections.collaboration import workflows
from gateway.testing import running_gateway


async def answer(client: Client, ready: asyncio.Event) -> None:
    async with client.inbox() as requests:
        ready.set()
        async for request in requests:
            await request.reply(request.tensor)


async def test_streams_and_requests_show_in_the_admin_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows, "SWEEP_INTERVAL_S", 0.01)
    async with (
        running_gateway(Settings(admin_port=0)) as gateway,
        connect(gateway.url, client_id="trainer") as trainer,
        connect(gateway.url, client_id="one") as one,
        connect(gateway.url, client_id="two") as two,
        httpx.AsyncClient(base_url=gateway.admin_url or "", verify=False) as http,
        one.subscribe("wf/*") as first,
        two.subscribe("wf/*"),
    ):
        ready = asyncio.Event()
        answering = asyncio.create_task(answer(two, ready))
        await ready.wait()
        await trainer.publish("wf/loss", np.float32(1), kind="event")
        await anext(first)
        while not (found := (await http.get("/api/v1/workflows?name=wf")).json()["workflows"]):
            pass
        assert found[0]["pattern"] == "broadcast"
        for _ in range(20):
            await one.request("agent:two", np.zeros(3))
        wanted = {("one", "two", "request"), ("two", "one", "reply"), ("trainer", "one", "stream")}
        while not wanted <= {(edge["source"], edge["target"], edge["via"]) for edge in found[0]["edges"]}:
            found = (await http.get("/api/v1/workflows?name=wf")).json()["workflows"]
        answering.cancel()
