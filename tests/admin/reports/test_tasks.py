"""Tasks: how far the consumers of acknowledged streams have come."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.admin.reports import tasks
from gateway.app import Gateway
from gateway.client import connect
from gateway.errors import Code
from gateway.protocol.messages import Kind
from tests.admin.document.test_openapi import check_answer
from tests.admin.files import CHUNK_BYTES, failure_of, publish
from tests.integration.peer import subscriber_of


async def tasks_of(http: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    answer = await http.get(f"/api/v1/tasks{query}")
    check_answer(answer, "/api/v1/tasks")
    streams: list[dict[str, Any]] = answer.json()["streams"]
    return streams


async def test_consumers_of_a_stream(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/state", {"": np.zeros(1)})
    publish(gateway, "wf/tasks", {"": np.zeros(1)}, Kind.COLLABORATION)
    async with (
        connect(gateway.url, client_id="busy") as busy,
        busy.subscribe("wf/tasks", auto_ack=False) as messages,
    ):
        async with subscriber_of(gateway.url, "wf/*"):
            pass
        for size in (1, 1, CHUNK_BYTES):
            publish(gateway, "wf/tasks", {"": np.zeros(size)})
        await (await anext(messages)).ack()
        for _ in range(400):
            (listed,) = await tasks_of(http)
            if listed["consumers"][-1]["in_flight"] == 2:
                break
            await asyncio.sleep(0.01)
    assert (listed["name"], listed["kind"], listed["published"]) == ("wf/tasks", "collaboration", 4)
    assert (listed["pending"], listed["present"], listed["absent"]) == (5, 1, 1)
    assert listed["unacknowledged_bytes"] > 8 * CHUNK_BYTES
    assert (listed["delivered"], listed["redelivered"], listed["dead_letters"]) == (3, 0, None)
    gone, here = listed["consumers"]
    assert (gone["peer"], gone["in_flight"], gone["waiting"]) == (None, 0, 3)
    assert (here["client_id"], here["away_s"], here["in_flight"], here["waiting"]) == ("busy", None, 2, 0)
    assert here["peer"] is not None
    assert gone["away_s"] >= 0
    assert 0 <= here["oldest_s"] <= gone["oldest_s"] < 60


async def test_streams_page_by_page_and_by_pattern(
    gateway: Gateway, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MAX_SHOWN", 1)
    for name in ("wf/a", "wf/b", "other/c"):
        publish(gateway, name, {"": np.zeros(1)}, Kind.CONTROL)
    async with subscriber_of(gateway.url, "wf/b"), subscriber_of(gateway.url, "wf/b"):
        assert [each["name"] for each in await tasks_of(http)] == ["wf/a", "wf/b", "other/c"]
        first = (await http.get("/api/v1/tasks?limit=1")).json()
        assert [each["name"] for each in await tasks_of(http, f"?after={first['next']}&pattern=wf/*")] == ["wf/b"]
        (listed,) = await tasks_of(http, "?pattern=wf/b")
    assert (listed["present"], len(listed["consumers"])) == (2, 1), "those of the most messages only"
    failure_of(await http.get("/api/v1/tasks?sort=name"), Code.INVALID_REQUEST, 400)
