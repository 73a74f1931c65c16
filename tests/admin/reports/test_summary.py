"""The summary: the whole gateway in one answer, of the same numbers as the metrics."""

from __future__ import annotations

import asyncio
import json
import math

import httpx
import numpy as np

from gateway.admin.reports.summary import json_of
from gateway.app import Gateway
from gateway.client import connect
from gateway.connections.snapshots import core_snapshot
from gateway.errors import Code
from gateway.protocol.messages import ClientType, Kind
from tests.admin.files import failure_of, publish
from tests.admin.reports.test_metrics import scrape
from tests.connections.memory import World


async def test_it_has_the_numbers_of_the_metrics(gateway: Gateway, http: httpx.AsyncClient) -> None:
    publish(gateway, "wf/a", {"": np.zeros(3)}, Kind.EVENT)
    async with connect(gateway.url, client_type="extension"), connect(gateway.url) as agent:
        await agent.publish("wf/b", 1.0)
        summary = (await http.get("/api/v1/summary")).json()
        samples = await scrape(http)
    assert summary["connections"] == {"admin_panel": 0, "workflow": 0, "agent": 1, "extension": 1}
    for client_type, count in summary["connections"].items():
        assert samples["frys_connections", client_type] == count
    for kind, counts in summary["kinds"].items():
        assert samples["frys_streams", kind] == counts["streams"]
        assert samples["frys_published_bytes_total", kind] == counts["published_bytes"]
    assert summary["kinds"]["event"]["published_messages"] == 1
    assert summary["workflows"]["patterns"].keys() >= {"broadcast", "idle"}
    assert summary["store"] == {"problem": None, "failures": 0, "refused_messages": 0}
    assert summary["draining"] is False
    assert summary["time_s"] > 0


async def test_the_latency_of_deliveries_shows_everywhere(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url) as agent, agent.subscribe("wf/a") as messages:
        while not (summary := (await http.get("/api/v1/summary")).json())["latency"]["samples"]:
            await agent.publish("wf/a", 1.0, kind="event")
            await anext(messages)
            await asyncio.sleep(0.01)
        while not any((await http.get("/api/v1/timeline")).json()["series"]["latency_p99_s"]):
            await agent.publish("wf/a", 1.0, kind="event")
            await anext(messages)
            await asyncio.sleep(0.05)
    latency = summary["latency"]
    assert 0 < latency["p50_s"] <= latency["p99_s"] <= latency["sum_s"] < 60
    assert latency["within"]["+Inf"] == latency["samples"]
    samples = await scrape(http)
    assert samples["frys_delivery_latency_seconds_bucket", "+Inf"] >= latency["samples"]
    assert samples["frys_delivery_latency_seconds_count", ""] >= latency["samples"]


async def test_it_has_no_parameters(http: httpx.AsyncClient) -> None:
    failure_of(await http.get("/api/v1/summary?limit=1"), Code.INVALID_REQUEST, 400)


async def test_many_at_once_are_served_one_after_the_other(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(http.get("/api/v1/summary") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}


def test_it_has_a_field_for_each_of_the_snapshot_and_no_object_of_python() -> None:
    world = World()
    world.subscriber("wf/*")
    steps = core_snapshot(world.core)
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        snapshot = stop.value
    found = json_of(snapshot)
    assert list(found) == list(snapshot.__dataclass_fields__)
    assert found["connections"][ClientType.AGENT.value] == 1
    assert {type(key) for key in found["connections"]} == {str}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_number_that_json_does_not_have_is_null() -> None:
    assert json_of({"a": 1.5, "b": math.inf, "c": math.nan}) == {"a": 1.5, "b": None, "c": None}
