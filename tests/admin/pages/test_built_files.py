"""Built files are served as pages need them, and nothing beside them is."""

from __future__ import annotations

import gzip
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from gateway.admin.http.failures import http_failed
from gateway.admin.pages.built_files import BuiltFiles

FRYS = b"export const answer = 42;\n"
PART = "zstddec-AbCd_123.js"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of built files, and a file beside it that nobody may read."""
    folder = tmp_path / "client"
    folder.mkdir()
    (folder / "frys.js").write_bytes(FRYS)
    (folder / "frys.js.gz").write_bytes(gzip.compress(FRYS))
    (folder / PART).write_bytes(b"export {};")
    (folder / "LICENSES.txt").write_text("MIT", "utf-8")
    (folder / "notes.py").write_text("secret", "utf-8")
    (tmp_path / "secret.js").write_text("secret", "utf-8")
    return folder


def _client(folder: Path) -> httpx.AsyncClient:
    files = BuiltFiles(folder, {"x-own": "yes"}, "build it")
    routes = [Route("/client/{name}", files.show)]
    application = Starlette(routes=routes, exception_handlers={HTTPException: http_failed})
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://gateway")


async def test_a_file_has_the_headers_of_all(folder: Path) -> None:
    async with _client(folder) as http:
        answer = await http.get("/client/frys.js", headers={"accept-encoding": "identity"})
    assert (answer.status_code, answer.content) == (200, FRYS)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-own"] == "yes"
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("codings", ["br, gzip", "GZIP;q=0.5, identity", "gzip; q=0.001"])
async def test_it_is_sent_compressed_to_those_that_say_so(folder: Path, codings: str) -> None:
    async with _client(folder) as http:
        answer = await http.get("/client/frys.js", headers={"accept-encoding": codings})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.content == FRYS


@pytest.mark.parametrize("codings", ["gzip;q=0", "br, gzip; q=0.000", "identity", "", "gzippy"])
async def test_it_is_sent_as_it_is_to_the_others(folder: Path, codings: str) -> None:
    async with _client(folder) as http:
        answer = await http.get("/client/frys.js", headers={"accept-encoding": codings})
    assert "content-encoding" not in answer.headers
    assert answer.content == FRYS


async def test_a_browser_asks_whether_it_has_changed(folder: Path) -> None:
    async with _client(folder) as http:
        first = await http.get("/client/frys.js")
        assert first.headers["cache-control"] == "no-cache"
        again = await http.get("/client/frys.js", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
        (folder / "frys.js.gz").write_bytes(gzip.compress(b"export {};"))
        changed = await http.get("/client/frys.js", headers={"if-none-match": first.headers["etag"]})
        assert (changed.status_code, changed.content) == (200, b"export {};")


@pytest.mark.parametrize("name", [PART, f"{PART}.map", "page-AbCd_-23.css"])
async def test_a_name_with_the_hash_of_its_content_is_kept_for_ever(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    async with _client(folder) as http:
        assert "immutable" in (await http.get(f"/client/{name}")).headers["cache-control"]


async def test_another_name_is_asked_for_again(folder: Path) -> None:
    async with _client(folder) as http:
        text = await http.get("/client/LICENSES.txt")
        assert (text.headers["content-type"], text.headers["cache-control"]) == (
            "text/plain; charset=utf-8",
            "no-cache",
        )


@pytest.mark.parametrize(
    "name",
    [
        "none.js",
        "notes.py",
        "..%2Fsecret.js",
        "%2e%2e",
        ".js",
        "frys.js%00.js",
        "frys.js.gz",
        "frys",
        f"{'a' * 300}.js",
    ],
)
async def test_nothing_else_is_served(folder: Path, name: str) -> None:
    async with _client(folder) as http:
        answer = await http.get(f"/client/{name}")
    assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")
    assert "secret" not in answer.json()["message"].replace("secret.js", "")


async def test_without_a_build_it_says_how_to_make_one(tmp_path: Path) -> None:
    async with _client(tmp_path / "none") as http:
        answer = await http.get("/client/frys.js")
    assert (answer.status_code, answer.json()["message"]) == (404, "GET /client/frys.js: build it")
