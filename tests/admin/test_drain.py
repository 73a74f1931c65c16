"""Drain over HTTP: an operator stops the gateway, and sees how far it has come."""

from __future__ import annotations

import asyncio

import httpx

from gateway.app import Gateway
from gateway.protocol.messages import GoAway
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


async def test_clients_are_told_where_to_go(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.core.on_drain = lambda: gateway.core.go_away("stopping", 5.0)
    async with subscriber_of(gateway.url, "wf/*") as subscriber:
        for body in ("{", "[]", '{"address":7}', '{"address":"' + "x" * 5000 + '"}'):
            answer = await http.post("/api/v1/drain", content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400, body
        for address in (
            "",
            "gateway-2",
            "http://gateway-2",
            "wss://",
            "ws://gateway-2:x",
            "ws://gateway-2#there",
            "ws://[",
        ):
            answer = await http.post("/api/v1/drain", json={"address": address})
            assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_REQUEST"), address
        assert not gateway.core.draining
        address = "wss://[2001:db8::2]:8765/frys"
        assert (await http.post("/api/v1/drain", json={"address": address})).status_code == 202
        await subscriber.until(lambda reader: reader.leaving)
        (away,) = [entry for entry in subscriber.reader.log if isinstance(entry, GoAway)]
        assert away.address == address


async def test_the_process_ends_with_zero() -> None:
    with running_gateway_process() as gateway:
        async with subscriber_of(gateway.url, "wf/*") as subscriber, httpx.AsyncClient() as http:
            await http.post(f"{gateway.admin_url}/api/v1/drain", json={})
            await subscriber.closing()
        assert gateway.process.wait(timeout=20) == 0
