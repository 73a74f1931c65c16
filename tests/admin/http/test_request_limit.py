"""Request limit: probes are answered beside as many requests as clients like to keep under way."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gateway.admin import serving
from gateway.admin.http.request_limit import PROBES, RequestLimit
from gateway.config import Settings
from gateway.testing import running_gateway

LIMIT = 2
BODY = b"PUT /api/v1/streams/wf/a HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n"


class Slow:
    """Application that answers when it is told, and probes at once."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in PROBES:
            self.begun += 1
            await self.go_on.wait()
        await PlainTextResponse("answered")(scope, receive, send)


@pytest.mark.parametrize("probe", PROBES)
async def test_past_the_limit_only_probes_are_answered(probe: str) -> None:
    slow = Slow()
    transport = httpx.ASGITransport(RequestLimit(slow, LIMIT))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answers = [asyncio.create_task(http.get("/metrics")) for _ in range(LIMIT)]
        while slow.begun < LIMIT:  # noqa: ASYNC110 - an ASGI transport tells of no start
            await asyncio.sleep(0)
        assert (await http.get(probe)).status_code == 200
        refused = await http.get("/metrics")
        assert (refused.status_code, refused.headers["retry-after"], refused.headers["connection"]) == (
            503,
            "1",
            "close",
        )
        assert refused.json()["message"] == "2 requests are being answered, which is the limit: try again later"
        slow.go_on.set()
        assert [(await answer).status_code for answer in answers] == [200, 200]
        assert (await http.get("/metrics")).status_code == 200


async def test_bodies_that_do_not_end_leave_places_for_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 2 * LIMIT)
    monkeypatch.setattr(serving, "MAX_REQUESTS", LIMIT)
    async with running_gateway(Settings(admin_port=0)) as gateway:
        clients = [await asyncio.open_connection("127.0.0.1", gateway.admin_port) for _ in range(4 * LIMIT)]
        for _, writer in clients:
            writer.write(BODY)
        async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60) as http:
            assert (await http.get("/healthz")).status_code == 200
        for _, writer in clients:
            writer.transport.abort()
