"""The application: what no route takes, and what goes wrong inside, is answered as JSON."""

from __future__ import annotations

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


async def test_a_slash_in_a_name_may_be_encoded(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.get("/api/v1/streams/wf%2Fnone")
    assert "wf/none" in failure_of(response, Code.UNKNOWN_STREAM, 404)
