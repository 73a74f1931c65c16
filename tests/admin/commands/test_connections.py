"""Commands to one connection, over real sockets."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gateway.admin.commands.connections import ConnectionCommands
from gateway.app import Gateway
from gateway.client import connect
from gateway.errors import Code
from gateway.protocol.messages import GoAway
from tests.admin.files import failure_of
from tests.connections.memory import World
from tests.integration.peer import subscriber_of


def posted(peer: int, body: bytes = b"{}") -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    headers = [(b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "headers": headers,
        "query_string": b"",
        "path_params": {"peer": str(peer)},
    }
    return Request(scope, receive)


async def peer_of(http: httpx.AsyncClient, client_id: str) -> int:
    listed = (await http.get("/api/v1/connections")).json()["connections"]
    return int(next(each["peer"] for each in listed if each["client_id"] == client_id))


async def test_a_ping_measures_the_round_trip(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url, client_id="pinged"):
        path = f"/api/v1/connections/{await peer_of(http, 'pinged')}/ping"
        answers = await asyncio.gather(*(http.post(path, json={}) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert all(0 < answer.json()["rtt_s"] < 5 for answer in answers)


async def test_a_client_that_does_not_answer() -> None:
    world = World()
    world.subscriber("wf/*", "silent")
    silent = next(session for session in world.core.pool if session.peer.client_id == "silent")
    with pytest.raises(HTTPException, match=r"no answer from silent within 0\.01 s") as caught:
        await ConnectionCommands(world.core, ping_timeout_s=0.01).ping(posted(silent.peer.id))
    assert caught.value.status_code == 504


async def test_a_client_that_is_disconnected_comes_back(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url, client_id="returns") as client:
        peer = await peer_of(http, "returns")
        answer = await http.post(f"/api/v1/connections/{peer}/disconnect", json={"reason": "a test"})
        assert (answer.status_code, answer.json()) == (202, {"peer": peer, "left_s": 0.0})
        await client.publish("wf/a", 1.0)
        assert await peer_of(http, "returns") != peer


async def test_a_client_that_is_moved_is_told_where_to_go_and_closed(gateway: Gateway) -> None:
    commands = ConnectionCommands(gateway.core, move_deadline_s=0.2)
    async with subscriber_of(gateway.url, "wf/*") as subscriber:
        session = next(iter(gateway.core.pool))
        answer = await commands.move(posted(session.peer.id, b'{"address":"ws://gateway-2:8765"}'))
        assert answer.status_code == 202
        await subscriber.until(lambda reader: reader.leaving)
        assert (await commands.move(posted(session.peer.id))).status_code == 202, "it goes already"
        (told,) = [message for message in subscriber.reader.log if isinstance(message, GoAway)]
        assert (told.address, told.reason) == ("ws://gateway-2:8765", "moved by an operator")
        for _ in range(400):
            if session.connection.closed:
                break
            await asyncio.sleep(0.01)
        assert session.connection.closed, "it did not go by itself"


@pytest.mark.parametrize("command", ["ping", "move", "disconnect"])
async def test_wrong_commands_do_nothing(gateway: Gateway, http: httpx.AsyncClient, command: str) -> None:
    async with connect(gateway.url, client_id="stays"):
        peer = await peer_of(http, "stays")
        path = f"/api/v1/connections/{peer}/{command}"
        assert (await http.post(path)).status_code == 415
        failure_of(await http.post(path, json={"why": "x"}), Code.INVALID_REQUEST, 400)
        failure_of(await http.post(f"{path}?now=1", json={}), Code.INVALID_REQUEST, 400)
        failure_of(await http.post(f"/api/v1/connections/999999/{command}", json={}), Code.NO_SUCH_PEER, 404)
        if command != "ping":
            failure_of(await http.post(path, json={"reason": 61 * "ä"}), Code.INVALID_REQUEST, 400)
        if command == "move":
            failure_of(await http.post(path, json={"address": "http://x"}), Code.INVALID_REQUEST, 400)
        assert await peer_of(http, "stays") == peer
