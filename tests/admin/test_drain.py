"""Drain over HTTP: an operator stops the gateway, and sees how far it has come."""

from __future__ import annotations

import asyncio

import httpx

from gateway.app import Gateway
from gateway.testing import running_gateway_process
from tests.integration.peer import subscriber_of


async def test_a_drain_stops_the_gateway_and_tells_its_progress(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with subscriber_of(gateway.url, "wf/*") as subscriber:
        before = (await http.get("/api/v1/drain")).json()
        assert before == {"draining": False, "connections": 1, "untold": 0, "left_s": None}
        wanted = asyncio.Event()
        gateway.core.on_drain = wanted.set
        assert (await http.post("/api/v1/drain")).status_code == 415, "no page of another site can do it"
        assert not wanted.is_set()
        answer = await http.post("/api/v1/drain", json={})
        assert (answer.status_code, wanted.is_set()) == (202, True)
        assert answer.json() == before | {"draining": True}, "it begins in the next turn"
        gateway.core.go_away("stopping", 5.0)
        await subscriber.until(lambda reader: reader.leaving)
        progress = (await http.get("/api/v1/drain")).json()
        assert (progress["draining"], progress["untold"], progress["connections"]) == (True, 0, 1)
        assert 0 < progress["left_s"] <= 5.0
        wanted.clear()
        assert (await http.post("/api/v1/drain", json={})).json()["draining"]
        assert not wanted.is_set(), "it stops already"


async def test_the_process_ends_with_zero() -> None:
    with running_gateway_process() as gateway:
        async with subscriber_of(gateway.url, "wf/*") as subscriber, httpx.AsyncClient() as http:
            await http.post(f"{gateway.admin_url}/api/v1/drain", json={})
            await subscriber.closing()
        assert gateway.process.wait(timeout=20) == 0
