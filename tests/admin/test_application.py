"""The application: what no route takes, and what goes wrong inside, is answered as JSON."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import httpx
import pytest

from gateway.admin.application import make_application
from gateway.admin.reports.metrics import Metrics
from gateway.app import Gateway
from gateway.errors import Code
from gateway.ids import StreamName
from tests.admin.files import failure_of
from tests.connections.memory import World


@pytest.mark.parametrize("path", ["/nope", "/api", "/api/v1", "/api/v1/streamss", "/healthz/x"])
async def test_a_path_that_does_not_exist(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert (response.status_code, response.json()["error"]) == (404, "NOT_FOUND")
    assert path in response.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("POST", "/api/v1/streams/wf/a", {"GET", "HEAD", "PUT", "DELETE"}),
        ("PUT", "/api/v1/streams", {"GET", "HEAD"}),
    ],
)
async def test_a_method_that_a_path_does_not_take(
    http: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    response = await http.request(method, path)
    assert (response.status_code, response.json()["error"]) == (405, "METHOD_NOT_ALLOWED")
    assert set(response.headers["allow"].split(", ")) == allowed


async def test_a_failure_of_the_program_is_no_traceback_for_the_client() -> None:
    world = World()
    world.core.streams._by_name[StreamName("wf/a")] = None  # type: ignore[assignment]
    transport = httpx.ASGITransport(make_application(world.core, Metrics(world.core)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        response = await client.get("/api/v1/streams")
    assert failure_of(response, Code.INTERNAL, 500) == "the gateway failed; its log says more"


@pytest.mark.parametrize("command", ["ping", "move", "disconnect"])
@pytest.mark.parametrize("peer", ["9" * 5000, "9" * 30, "-1", "1.0", "\u0661", "none"])
async def test_a_number_that_no_connection_can_have(http: httpx.AsyncClient, command: str, peer: str) -> None:
    answer = await http.post(f"/api/v1/connections/{peer}/{command}", json={})
    assert peer[:20] in failure_of(answer, Code.NO_SUCH_PEER, 404)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v1/drain"), ("PUT", "/api/v1/log/level"), ("PUT", "/api/v1/streams/wf/a")]
)
async def test_a_client_that_leaves_within_a_body_is_no_failure_of_the_program(method: str, path: str) -> None:
    world = World()
    parts: list[dict[str, Any]] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b"{", "more_body": True},
    ]
    answers: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return parts.pop()

    async def send(part: MutableMapping[str, Any]) -> None:
        answers.append(part)

    headers = [(b"host", b"gateway"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}
    await make_application(world.core, Metrics(world.core))(scope, receive, send)
    assert [part.get("status") for part in answers] == [400, None]
    assert not world.core.draining


async def test_a_slash_in_a_name_may_be_encoded(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.get("/api/v1/streams/wf%2Fnone")
    assert "wf/none" in failure_of(response, Code.UNKNOWN_STREAM, 404)
