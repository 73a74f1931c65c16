"""Timeline: the numbers of the gateway over time."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.admin.reports.timeline import SERIES_TEXTS, Timeline
from gateway.app import Gateway
from gateway.client import connect
from gateway.errors import Code
from gateway.protocol.messages import Kind
from tests.admin.files import failure_of, publish
from tests.connections.memory import World


async def test_samples_have_the_rates_between_them(gateway: Gateway) -> None:
    unix_s = 1000.0
    timeline = Timeline(gateway.core, asyncio.Lock(), lambda: unix_s)
    await timeline.sample()
    async with connect(gateway.url, client_type="extension"):
        for _ in range(6):
            publish(gateway, "wf/a", {"": np.zeros(4)}, Kind.EVENT)
        timeline.observe_lag(0.25)
        timeline.observe_lag(0.125)
        unix_s = 1001.0
        await timeline.sample()
    sampled = timeline._rings.since(0, 1)
    first, second = (dict(zip(SERIES_TEXTS, row, strict=True)) for row in sampled.values)
    assert sampled.times_s.tolist() == [1000.0, 1001.0]
    assert np.isnan(first["messages_in_per_s"]), "there is nothing before"
    assert second["messages_in_per_s"] > 0
    assert second["bytes_in_per_s"] >= 32 * second["messages_in_per_s"]
    assert (first["loop_lag_max_s"], second["loop_lag_max_s"]) == (0.0, 0.25)
    assert (first["connections_extension"], second["connections_extension"]) == (0, 1)
    assert second["memory_bytes"] > 1e6


async def test_the_server_records_it_by_itself(gateway: Gateway, http: httpx.AsyncClient) -> None:
    found: dict[str, Any] = {}
    for _ in range(400):
        found = (await http.get("/api/v1/timeline")).json()
        if found["times_s"]:
            break
        await asyncio.sleep(0.05)
    assert found["series"].keys() == SERIES_TEXTS.keys()
    assert {len(values) for values in found["series"].values()} == {len(found["times_s"])}
    assert found["start_s"] <= found["times_s"][0] <= found["now_s"]
    assert found["interval_s"] == 1
    later = (await http.get(f"/api/v1/timeline?since={int(found['now_s']) + 60}")).json()
    assert later["times_s"] == []
    assert (await http.get("/api/v1/timeline?interval_s=60")).json()["interval_s"] == 60


@pytest.mark.parametrize("query", ["interval_s=2", "interval_s=0", "since=-1", "since=x", "after=1"])
async def test_what_it_does_not_know(http: httpx.AsyncClient, query: str) -> None:
    failure_of(await http.get(f"/api/v1/timeline?{query}"), Code.INVALID_REQUEST, 400)


async def test_a_gateway_without_connections_has_no_round_trips() -> None:
    timeline = Timeline(World().core, asyncio.Lock())
    await timeline.sample()
    row = dict(zip(SERIES_TEXTS, timeline._rings.since(0, 1).values[0], strict=True))
    assert np.isnan(row["round_trip_p50_s"])
    assert row["overload_stage"] == 0
