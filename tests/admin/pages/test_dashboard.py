"""The dashboard is served as it was built; in its place stand links, each of which leads somewhere."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.admin.pages import dashboard
from gateway.admin.pages.dashboard import HEADERS, LINKS, Dashboard

PAGE = b'<!doctype html><script type="module" src="/assets/dashboard-AbCd_123.js"></script>'
SCRIPT = b'import "/client/frys.js";'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dashboard as it is built."""
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_bytes(PAGE)
    (assets / "dashboard-AbCd_123.js").write_bytes(SCRIPT)
    (assets / "dashboard-AbCd_123.js.gz").write_bytes(gzip.compress(SCRIPT))
    return tmp_path


def client(folder: Path) -> httpx.AsyncClient:
    page = Dashboard(folder)
    routes = [Route("/", page.show), Route("/assets/{name}", page.assets.show)]
    return httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=routes)), base_url="http://gateway")


async def test_the_page_is_asked_for_again_each_time(folder: Path) -> None:
    async with client(folder) as http:
        page = await http.get("/")
        assert (page.status_code, page.content) == (200, PAGE)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        again = await http.get("/", headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.headers["content-security-policy"]) == (304, dashboard.POLICY)


async def test_its_files_are_kept_for_ever(folder: Path) -> None:
    async with client(folder) as http:
        script = await http.get("/assets/dashboard-AbCd_123.js")
        assert (script.content, script.headers["content-encoding"]) == (SCRIPT, "gzip")
        assert "immutable" in script.headers["cache-control"]
        assert (await http.get("/assets/index.html")).status_code == 404


async def test_nothing_is_run_that_the_gateway_does_not_serve(folder: Path) -> None:
    async with client(folder) as http:
        for path in ("/", "/assets/dashboard-AbCd_123.js"):
            answer = await http.get(path)
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    allowed = dict(part.split(" ", 1) for part in dashboard.POLICY.split("; "))
    assert allowed["default-src"] == allowed["frame-ancestors"] == "'none'"
    assert allowed["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert "unsafe-inline" not in dashboard.POLICY
    assert "*" not in dashboard.POLICY


async def test_without_a_build_every_link_leads_somewhere(http: httpx.AsyncClient, tmp_path: Path) -> None:
    async with client(tmp_path) as other:
        page = await other.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "run `make dashboard`" in page.text
    links = re.findall(r'href="([^"]+)"', page.text)
    assert links == [path for path, _ in LINKS]
    for link in links:
        assert (await http.get(link)).status_code == 200


async def test_the_gateway_has_the_routes(http: httpx.AsyncClient) -> None:
    assert (await http.get("/")).headers["content-security-policy"] == dashboard.POLICY
    answer = await http.get("/assets/none.js")
    assert answer.status_code == 404
    assert "run `make dashboard`" in answer.json()["message"]
