"""Drain over HTTP: an operator stops the gateway, and sees how far it has come."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from gateway.app import Gateway
from gateway.protocol.messages import GoAway
from gateway.testing import running_gateway_process
from tests.integration.peer import subscriber_of


async def test_a_drain_stops_the_gateway_and_tells_its_progress(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with subscriber_of(gateway.url, "wf/*") as subscriber:
        before = (await http.get("/api/v1/drain")).json()
        assert before == {"draining": False, "connections": 1, "untold": 0, "left_s": None}
        wanted = asyncio.Event()
        askers = list[str]()

        def stop(asker: str) -> float:
            askers.append(asker)
            wanted.set()
            return 5.0

        gateway.core.on_drain = stop
        assert (await http.post("/api/v1/drain")).status_code == 415, "no page of another site can do it"
        assert not wanted.is_set()
        answer = await http.post("/api/v1/drain", json={})
        assert (answer.status_code, wanted.is_set()) == (202, True)
        begun = answer.json()
        assert begun == before | {"draining": True, "left_s": begun["left_s"]}, "it begins in the next turn"
        assert 0 < begun["left_s"] <= 5.0
        assert askers == ["http from 127.0.0.1"]
        gateway.core.go_away("stopping", 5.0)
        await subscriber.until(lambda reader: reader.leaving)
        progress = (await http.get("/api/v1/drain")).json()
        assert (progress["draining"], progress["untold"], progress["connections"]) == (True, 0, 1)
        assert 0 < progress["left_s"] <= 5.0
        wanted.clear()
        assert (await http.post("/api/v1/drain", json={})).json()["draining"]
        assert not wanted.is_set(), "it stops already"


async def test_clients_are_told_where_to_go(gateway: Gateway, http: httpx.AsyncClient) -> None:
    def stop(_: str) -> float:
        gateway.core.go_away("stopping", 5.0)
        return 5.0

    gateway.core.on_drain = stop
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


@pytest.mark.parametrize(("key", "hint"), [("adress", "did you mean address?"), ("deadline_s", "known are address")])
async def test_a_key_that_drain_does_not_know_stops_nothing(
    gateway: Gateway, http: httpx.AsyncClient, key: str, hint: str
) -> None:
    answer = await http.post("/api/v1/drain", json={key: "wss://gateway-2.example.com:8765"})
    problem = f"drain has no key '{key}', and nothing was done: {hint}"
    assert (answer.status_code, answer.json()["error"], answer.json()["message"]) == (400, "INVALID_REQUEST", problem)
    assert not (await http.get("/api/v1/drain")).json()["draining"]


async def test_a_gateway_in_a_program_tells_its_deadline_at_once(gateway: Gateway, http: httpx.AsyncClient) -> None:
    left_s = (await http.post("/api/v1/drain", json={})).json()["left_s"]
    assert 0 < left_s <= gateway.settings.drain_deadline_s


async def test_the_process_ends_with_zero() -> None:
    with running_gateway_process() as gateway:
        async with subscriber_of(gateway.url, "wf/*") as subscriber, httpx.AsyncClient() as http:
            await http.post(f"{gateway.admin_url}/api/v1/drain", json={})
            await subscriber.closing()
        assert gateway.process.wait(timeout=20) == 0
