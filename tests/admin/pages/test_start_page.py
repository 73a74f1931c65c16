"""The page: every link leads somewhere."""

from __future__ import annotations

import re

import httpx

from gateway.admin.pages.start_page import LINKS


async def test_every_link_leads_somewhere(http: httpx.AsyncClient) -> None:
    response = await http.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    links = re.findall(r'href="([^"]+)"', response.text)
    assert links == [path for path, _ in LINKS]
    for link in links:
        assert (await http.get(link)).status_code == 200
