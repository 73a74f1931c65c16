"""Metrics: valid exposition, true numbers, and no more series however many streams there are."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import numpy as np
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.application import make_application
from gateway.admin.http.steps import in_steps
from gateway.admin.reports.metrics import CoreCollector, Metrics
from gateway.app import Gateway
from gateway.client import connect
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.snapshots import core_snapshot
from gateway.protocol.messages import Kind
from gateway.protocol.signals import ReceiverReport
from tests.admin.files import CHUNK_BYTES, publish
from tests.connections.memory import World
from tests.connections.presence.attending import join, watch

Samples = dict[tuple[str, str], float]


def samples_of(text: str) -> Samples:
    """By name and the value of its label."""
    families = text_string_to_metric_families(text)
    return {
        (sample.name, "".join(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


async def scrape(http: httpx.AsyncClient) -> Samples:
    response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return samples_of(response.text)


async def test_what_happened_is_counted(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url, client_type="admin_panel") as client, client.subscribe("wf/*") as messages:
        publish(gateway, "wf/a", {"": np.zeros(3)})
        publish(gateway, "wf/a", {"": np.zeros(CHUNK_BYTES)})
        publish(gateway, "wf/b", {"": np.zeros(3)}, Kind.EVENT)
        for _ in range(2):
            await anext(messages)
        samples = await scrape(http)
        assert samples["frys_connections", "admin_panel"] == 1
        assert samples["frys_connections", "agent"] == 0
        assert samples["frys_streams", "state"] == 1
        assert samples["frys_published_messages_total", "state"] == 2
        assert samples["frys_published_messages_total", "event"] == 1
        assert samples["frys_published_bytes_total", "state"] > 8 * CHUNK_BYTES
        assert samples["frys_delivered_messages_total", "state"] == 2
        assert samples["frys_delivered_messages_total", "event"] == 1
        assert samples["frys_subscriptions", ""] == 1
        assert samples["frys_requests", ""] == samples["frys_kept_request_bytes", ""] == 0
        assert samples["frys_transfers", ""] == samples["frys_lagging_connections", ""] == 0
        assert samples["frys_draining", ""] == samples["frys_store_waiting_bytes", ""] == 0
        assert samples["frys_history_bytes", ""] > 0
        assert abs(samples["frys_clock_ahead_seconds", ""]) < 1
    samples = await scrape(http)
    assert samples["frys_delivered_messages_total", "state"] == 2


async def test_workflows_are_counted_by_their_pattern() -> None:
    world = World()
    publisher = world.publisher("wf-1/a", "wf-2/a")
    world.subscriber("**", "one")
    world.subscriber("wf-1/*", "two")
    for alias in (0, 1):
        publisher.publish(alias, b"12345678")
    world.clock.advance(1.0)
    world.core.workflows.begin_sweep()
    world.settle()
    metrics = Metrics(world.core)
    transport = httpx.ASGITransport(make_application(world.core, metrics))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        samples = await scrape(client)
    patterns = {label: value for (name, label), value in samples.items() if name == "frys_workflows"}
    assert patterns == dict.fromkeys(GraphPattern, 0.0) | {"broadcast": 1.0, "pipeline": 1.0}
    assert samples["frys_collaboration_edges", ""] == 3


async def test_connections_that_are_given_up_are_counted() -> None:
    world = World()
    world.peer()
    heartbeat = world.core.heartbeat
    while len(world.core.pool):
        world.clock.advance(heartbeat.tick_s)
        for _ in heartbeat.sweep():
            pass
    transport = httpx.ASGITransport(make_application(world.core, Metrics(world.core)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        samples = await scrape(client)
    timeouts = {label: value for (name, label), value in samples.items() if name == "frys_heartbeat_timeouts_total"}
    assert timeouts == {"silent": 1, "deaf": 0, "vanished": 0}
    assert samples["frys_pings_total", ""] == 1


async def test_members_are_counted() -> None:
    world = World()
    one, other = world.peer("one"), world.peer("other")
    join(one, "wf", a=1)
    join(other, "wf")
    watch(one, "wf/loss")
    world.lose(other)
    world.settle()
    transport = httpx.ASGITransport(make_application(world.core, Metrics(world.core)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        samples = await scrape(client)
    members = {label: value for (name, label), value in samples.items() if name == "frys_presence_members"}
    assert members == {"present": 1, "away": 1}
    assert (samples["frys_presence_scopes", ""], samples["frys_presence_watchers", ""]) == (2, 1)
    assert (samples["frys_presence_joins_total", ""], samples["frys_presence_leaves_total", ""]) == (2, 0)
    assert samples["frys_presence_bytes", ""] == len('{"a":1}{}')


async def test_what_becomes_of_messages_that_are_acknowledged(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with (
        connect(gateway.url, client_type="agent", client_id="worker") as client,
        client.subscribe("wf/tasks", auto_ack=False) as messages,
    ):
        for _ in range(3):
            publish(gateway, "wf/tasks", {"": np.zeros(3)}, Kind.COLLABORATION)
        await (await anext(messages)).nack()
        while not (samples := await scrape(http))["frys_redelivered_messages_total", ""]:
            pass
        assert (samples["frys_consumers", "present"], samples["frys_consumers", "absent"]) == (1, 0)
        assert samples["frys_pending_deliveries", ""] == 3
        assert samples["frys_unacknowledged_bytes", ""] > 3 * 24
        assert samples["frys_waiting_dead_letters", ""] == 0
        assert samples["frys_expired_messages_total", ""] == samples["frys_dead_lettered_messages_total", ""] == 0
        (stream,) = (await http.get("/api/v1/streams")).json()["streams"]
        assert (stream["subscribers"], stream["consumers"], stream["pending"]) == (1, 1, 3)
    samples = await scrape(http)
    assert samples["frys_redelivered_messages_total", ""] == 1


async def test_the_process_and_the_loop(gateway: Gateway, http: httpx.AsyncClient) -> None:
    samples = await scrape(http)
    assert samples["process_resident_memory_bytes", ""] > 0
    while not samples["frys_loop_lag_seconds_count", ""]:
        samples = await scrape(http)
    gateway.core.go_away("stopping", 1.0)
    assert (await scrape(http))["frys_draining", ""] == 1


async def test_openmetrics_for_who_asks(http: httpx.AsyncClient) -> None:
    response = await http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    families = list(parse_openmetrics(response.text))  # type: ignore[no-untyped-call]
    assert "frys_streams" in {family.name for family in families}


async def test_the_metrics_that_the_operations_page_names_are_there(http: httpx.AsyncClient) -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
    named = set(re.findall(r"`(frys_\w+)`", page))
    # Of a histogram its parts are there.
    there = {name.removesuffix("_bucket") for name, _ in await scrape(http)}
    assert "frys_consumers" in named
    # Those of the traffic history are there if one is recorded: test_history_metrics.py.
    assert {name for name in named if not name.startswith("frys_traffic_")} <= there


async def test_links_are_counted_by_client_type(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url, client_type="extension", client_id="a"):
        (session,) = [session for session in gateway.core.pool if session.peer.client_id == "a"]
        session.connection.sample_round_trip(20_000_000)
        gateway.core.links.report(session.connection, ReceiverReport(0, 0, 4096, 10_000_000_000))
        samples = await scrape(http)
    bounds = ("0.003", "+Inf")
    assert [samples["frys_round_trip_seconds_bucket", f"extension{bound}"] for bound in bounds] == [0, 1]
    assert [samples["frys_link_score_bucket", f"extension{bound}"] for bound in ("0.1", "1.0")] == [1, 1]
    assert samples["frys_bottlenecks", "readerextension"] == 1
    assert samples["frys_round_trip_seconds_bucket", "agent+Inf"] == 0


async def test_streams_add_no_series(gateway: Gateway, http: httpx.AsyncClient) -> None:
    before = (await scrape(http)).keys()
    for number in range(100):
        publish(gateway, f"wf/{number}", {"": np.zeros(1)})
    assert (await scrape(http)).keys() == before


async def test_a_collector_without_a_snapshot_collects_nothing() -> None:
    collector = CoreCollector()
    assert list(collector.collect()) == []
    collector.snapshot = await in_steps(core_snapshot(World().core))
    assert len(list(collector.collect())) > 10


async def test_each_metric_is_explained_by_its_name() -> None:
    collector = CoreCollector()
    collector.snapshot = await in_steps(core_snapshot(World().core))
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")
    endings = {"counter": "_total", "info": "_info"}
    names = [metric.name + endings.get(metric.type, "") for metric in collector.collect()]
    assert [name for name in names if f"`{name}`" not in page] == []
