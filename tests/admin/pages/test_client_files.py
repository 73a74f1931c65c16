"""The JavaScript client is for pages of any origin."""

from __future__ import annotations

from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.admin.pages.client_files import client_files


async def test_a_page_of_any_origin_may_import_it(tmp_path: Path) -> None:
    (tmp_path / "frys.js").write_bytes(b"export {};")
    application = Starlette(routes=[Route("/client/{name}", client_files(tmp_path).show)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://gateway") as http:
        answer = await http.get("/client/frys.js")
    assert (answer.status_code, answer.content) == (200, b"export {};")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_gateway_has_the_route_and_says_how_to_build_it(http: httpx.AsyncClient) -> None:
    answer = await http.get("/client/none.js")
    assert answer.status_code == 404
    assert "run `make js-client`" in answer.json()["message"]
