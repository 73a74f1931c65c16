"""Names of the admin port: which requests are answered, and which pages may order anything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.http.hosts import KnownHosts
from gateway.app import Gateway
from gateway.config import Settings
from gateway.testing import running_gateway

FOREIGN = "http://elsewhere.example"


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway(Settings(admin_port=0, admin_hosts=("frys.example.com",))) as running:
        yield running


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8766",
        "LOCALHOST.:8766",
        "app.localhost",
        "gateway:8766",
        "127.0.0.1",
        "10.0.0.7:80",
        "[::1]:8766",
        "[fe80::1]",
        "frys.example.com",
        "Frys.Example.com.:443",
        None,
    ],
)
def test_names_that_are_known(host: str | None) -> None:
    assert KnownHosts(["frys.example.com"]).refusal(host, None, changes=True) is None


@pytest.mark.parametrize(
    "host",
    [
        "elsewhere.example",
        "elsewhere.example:8766",
        "frys.example.com.elsewhere.example",
        "other.frys.example.com",
        "1.2.3",
        "127.0.0.1.elsewhere.example",
        "localhost@elsewhere.example",
        "localhost/../",
        "[elsewhere.example]",
        "localhost, localhost",
        "localhost:80:80",
        "",
        " ",
        "localhost:x",
    ],
)
def test_names_that_are_not_are_told_with_the_remedy(host: str) -> None:
    refused = KnownHosts(["frys.example.com"]).refusal(host, None, changes=False)
    assert refused is not None
    status, problem = refused
    assert status == 421
    assert repr(host) in problem
    assert "admin_hosts" in problem


@pytest.mark.parametrize(
    ("origin", "host", "is_own"),
    [
        ("http://127.0.0.1:8766", "127.0.0.1:8766", True),
        ("http://[::1]:8766", "[::1]:8766", True),
        ("http://localhost", "localhost", True),
        ("http://localhost", "localhost:80", True),
        ("https://localhost:443", "localhost", True),
        ("https://frys.example.com", "frys.example.com", True),
        ("https://frys.example.com:8443", "frys.example.com", True),
        ("https://frys.example.com", "gateway:8766", True),
        ("http://localhost:3000", "localhost:8766", False),
        ("http://localhost", "localhost:8766", False),
        ("http://127.0.0.1:8766", "localhost:8766", False),
        (FOREIGN, "localhost:8766", False),
        (FOREIGN, None, False),
        ("null", "localhost:8766", False),
        ("http://[::1", "localhost:8766", False),
        ("http://localhost:99999999", "localhost:8766", False),
        ("", "localhost:8766", False),
    ],
)
def test_pages_that_may_order_something(origin: str, host: str | None, *, is_own: bool) -> None:
    hosts = KnownHosts(["frys.example.com"])
    refused = hosts.refusal(host, origin, changes=True)
    assert (refused is None) == is_own
    if refused is not None:
        assert (refused[0], repr(origin) in refused[1]) == (403, True)
    assert hosts.refusal(host, origin, changes=False) is None, "the browser keeps the answer from the page"


def test_a_star_knows_all() -> None:
    assert KnownHosts(["*"]).refusal("elsewhere.example", FOREIGN, changes=True) is None


@given(host=st.text(max_size=300), origin=st.none() | st.text(max_size=300))
def test_any_text_has_an_answer(host: str, origin: str | None) -> None:
    refused = KnownHosts().refusal(host, origin, changes=True)
    assert refused is None or len(refused[1]) < 1000


async def test_a_gateway_refuses_and_tells_why(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60) as http:
        path = "/api/v1/summary"
        for host in ("frys.example.com", "localhost:1", "127.0.0.1"):
            assert (await http.get(path, headers={"host": host})).status_code == 200
        answer = await http.get(path, headers={"host": "elsewhere.example"})
        assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")
        assert answer.json()["error"] == "MISDIRECTED_REQUEST"
        assert "elsewhere.example" in answer.json()["detail"]
        assert (await http.get("/healthz", headers={"host": "elsewhere.example"})).status_code == 200


async def test_commands_of_pages_from_elsewhere_do_nothing(gateway: Gateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60) as http:
        for headers in ({"origin": FOREIGN}, {"origin": "null"}):
            for method, path in (
                ("PUT", "/api/v1/log/level"),
                ("POST", "/api/v1/drain"),
                ("DELETE", "/api/v1/streams/wf"),
            ):
                answer = await http.request(method, path, json={"level": "debug"}, headers=headers)
                assert (answer.status_code, answer.json()["error"]) == (403, "FORBIDDEN")
        own = {"origin": gateway.admin_url or ""}
        assert (await http.put("/api/v1/log/level", json={"level": "info"}, headers=own)).status_code == 200
        assert not gateway.core.draining
        assert (await http.get("/api/v1/summary", headers={"origin": FOREIGN})).status_code == 200
