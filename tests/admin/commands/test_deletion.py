"""DELETE: a stream ends, whoever uses it; the answer follows when it has."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import connect
from gateway.errors import Code
from gateway.ids import StreamName
from tests.admin.files import failure_of
from tests.connections.admission.full import full


async def test_a_stream_in_use_is_deleted(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url) as client, client.subscribe("wf/*") as messages:
        before = await client.publish("wf/a", np.float32(1))
        assert (await anext(messages)).epoch == before.epoch
        answer = await http.delete("/api/v1/streams/wf/a")
        assert (answer.status_code, answer.json()) == (200, {"deleted": ["wf/a"]})
        assert gateway.core.streams.get(StreamName("wf/a")) is None
        after = await client.publish("wf/a", np.float32(2))
        assert (await anext(messages)).epoch == after.epoch > before.epoch
        assert len(gateway.core.pool) == 1  # the connection that has asked is gone


@pytest.mark.parametrize(("name", "code", "status"), [("wf/none", "UNKNOWN_STREAM", 404), ("wf", "INVALID_NAME", 400)])
async def test_no_such_stream(gateway: Gateway, http: httpx.AsyncClient, name: str, code: str, status: int) -> None:
    answer = await http.delete(f"/api/v1/streams/{name}")
    assert answer.status_code == status
    assert answer.json()["error"] == code


async def test_patterns_are_no_names(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url) as client:
        await client.publish("wf/a", 1)
    answer = await http.delete("/api/v1/streams/wf/*")
    assert answer.json()["error"] == "INVALID_NAME"
    assert "frys rm and client.delete() take patterns" in answer.text
    assert gateway.core.streams.get(StreamName("wf/a")) is not None


async def test_a_gateway_that_is_full_or_stops(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url) as client:
        await client.publish("wf/a", 1)
    gateway.core.admission = full()
    answer = await http.delete("/api/v1/streams/wf/a")
    assert failure_of(answer, Code.TOO_MANY_CONNECTIONS, 503)
    assert gateway.core.streams.get(StreamName("wf/a")) is not None
