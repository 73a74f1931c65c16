"""The lists: everything that there is, page by page, and nothing twice."""

from __future__ import annotations

import asyncio
import time

import httpx
import numpy as np
import pytest

from gateway.admin.application import make_application
from gateway.admin.reports import catalogue
from gateway.admin.reports.catalogue import WRITE_STEP
from gateway.admin.reports.metrics import Metrics
from gateway.app import Gateway
from gateway.client import connect
from gateway.config import Settings
from gateway.connections.core import Core
from gateway.connections.snapshots import STEP, StreamSnapshot, stream_snapshot
from gateway.errors import Code
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import EndReason, Kind
from gateway.protocol.signals import ProgramPosition, ReceiverReport
from gateway.streams.stream import Stream
from gateway.testing import running_gateway
from tests.admin.files import CHUNK_BYTES, failure_of, publish
from tests.connections.memory import World


async def test_streams_and_what_they_hold(gateway: Gateway, http: httpx.AsyncClient) -> None:
    receipt = publish(gateway, "wf/a", {"w": np.zeros((2, 3), "<f4"), "b": np.array(1.0)})
    publish(gateway, "wf/b", {"": np.zeros(CHUNK_BYTES)}, Kind.EVENT)
    async with connect(gateway.url, client_type="agent") as client, client.subscribe("wf/a"):
        answer = (await http.get("/api/v1/streams")).json()
    first, second = answer["streams"]
    size = first.pop("published_bytes")
    assert size > 32
    assert first == {
        "id": 1,
        "name": "wf/a",
        "kind": "state",
        "epoch": receipt.epoch,
        "durability": "memory",
        "first_offset": 1,
        "next_offset": 1,
        "subscribers": 1,
        "viewers": 0,
        "observers": 0,
        "consumers": 0,
        "pending": 0,
        "delivered_messages": 1,
        "conflated": 0,
        "client_conflated": 0,
        "dropped": 0,
        "history_bytes": 0,
        "unacknowledged_bytes": 0,
        "encodings": [],
        "published_encoding": None,
        "newest": [
            {"name": "w", "dtype": "float32", "shape": [2, 3]},
            {"name": "b", "dtype": "float64", "shape": []},
        ],
        "messages_per_s": None,
        "bytes_per_s": None,
    }
    assert (second["kind"], second["newest"], second["published_bytes"]) == ("event", None, 8 * CHUNK_BYTES)
    assert (second["history_bytes"] >= 8 * CHUNK_BYTES, second["delivered_messages"]) == (True, 0)
    assert answer["next"] is None


async def test_the_chain_by_which_the_gateway_encodes_is_told_once_it_is_chosen() -> None:
    async with (
        running_gateway(Settings(admin_port=0)) as gateway,
        httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60) as http,
        connect(gateway.url) as client,
        client.subscribe("wf/a") as messages,
    ):
        for _ in range(200):
            await client.publish("wf/a", np.arange(10_000), kind="event", codec="none")
            await anext(messages)
            (stream,) = (await http.get("/api/v1/streams")).json()["streams"]
            if stream["encodings"] and stream["encodings"][0]["ratio"] is not None:
                break
    (encoding,) = stream["encodings"]
    assert encoding["receivers"] == 1
    assert Chain.parse(encoding["chain"]) != PLAIN
    assert 0 < encoding["ratio"] < 0.7


async def test_the_encoding_of_a_publisher_is_told(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url) as client:
        for stream, count in (("wf/small", 1000), ("wf/large", 10 * CHUNK_BYTES)):
            await client.publish(stream, np.arange(count), codec="shuffle+lz4", headers={"step": 7})
    answer = (await http.get("/api/v1/streams")).json()["streams"]
    assert [each["name"] for each in answer] == ["wf/small", "wf/large"]
    for each in answer:
        assert each["published_encoding"]["chain"] == "shuffle+lz4"
        assert 0 < each["published_encoding"]["ratio"] < 0.6


async def test_connections_that_have_greeted(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with connect(gateway.url, client_type="admin_panel", client_id="panel") as client, client.subscribe("wf/*"):
        answer = (await http.get("/api/v1/connections")).json()
    (connection,) = answer["connections"]
    assert connection.pop("agent").startswith("frys-python/")
    assert abs(connection.pop("generation") / 1e6 - time.time()) < 3600
    host, _, port = connection.pop("address").rpartition(":")
    assert (host, int(port) > 0) == ("127.0.0.1", True)
    assert 0 < connection.pop("age_s") < 60
    link = connection.pop("link")
    assert (link["bottleneck"], link["queue_delay_s"], link["tcp"]) == ("none", None, None)
    assert 0 < link["score"] <= 1
    assert connection == {
        "peer": 1,
        "client_id": "panel",
        "client_type": "admin_panel",
        "subprotocol": "frys.v1",
        "state": "open",
        "subscriptions": 1,
        "aliases": 0,
        "transfers": 0,
        "asked": 0,
        "owed": 0,
        "groups": [],
        "lagging": False,
        "waiting_bytes": 0,
        "conflated": 0,
        "client_conflated": 0,
        "out_of_credit": 0,
        "paced": False,
        "lowered": 0,
        "dropped": 0,
    }


def sweep(world: World) -> None:
    """Bring the collaboration graphs up to date."""
    world.clock.advance(1.0)
    world.core.workflows.begin_sweep()
    world.settle()


async def test_workflows_and_who_works_with_whom() -> None:
    world = World()
    trainer = world.publisher("wf/loss", "other/x")
    world.subscriber("**", "one")
    gone = world.subscriber("wf/*", "two")
    trainer.send(trainer.batch(0, [b"1234"] * 100))
    trainer.publish(1, b"12345678")
    sweep(world)
    world.lose(gone)
    world.clock.advance(2.0)
    async with client_of(world) as client:
        answer = (await client.get("/api/v1/workflows")).json()
        (without,) = (await client.get("/api/v1/workflows?name=wf&edges=0")).json()["workflows"]
        assert (without["edges"], without["participants"]) == ([], [])
        (other,) = (await client.get("/api/v1/workflows?name=other")).json()["workflows"]
        assert (await client.get("/api/v1/workflows?name=none")).json()["workflows"] == []
    first, second = answer["workflows"]
    assert answer["next"] is None
    assert other == second
    edges = first.pop("edges")
    assert [(edge["source"], edge["target"], edge["via"]) for edge in edges] == [
        ("publisher", "one", "stream"),
        ("publisher", "two", "stream"),
    ]
    participants = first.pop("participants")
    assert [(each["client_id"], each["client_type"], each["peer"]) for each in participants] == [
        ("publisher", "agent", 1),
        ("one", "agent", 2),
        ("two", None, None),
    ]
    assert [each["age_s"] for each in participants] == [3.0, 3.0, None]
    for rate in ("messages_per_s", "bytes_per_s"):
        assert [edge[rate] for edge in edges] == pytest.approx([first[rate] / 2] * 2, abs=0.001)
    assert first.pop("messages_per_s") == pytest.approx(26, rel=0.01)
    assert first.pop("bytes_per_s") > 100
    assert first.pop("confidence") > 0.9
    assert first == {
        "id": 1,
        "name": "wf",
        "pattern": "broadcast",
        "pattern_s": 2.0,
        "clients": 3,
        "panels": 0,
    }
    assert (other["id"], other["name"], other["pattern"]) == (2, "other", "pipeline")


async def test_pages_of_workflows_join_to_the_whole() -> None:
    world = World()
    publisher = world.publisher(*[f"wf-{number}/a" for number in range(5)])
    world.subscriber("**", "one")
    for alias in range(5):
        publisher.publish(alias, b"12345678")
    sweep(world)
    async with client_of(world) as client:
        first = (await client.get("/api/v1/workflows?limit=3")).json()
        second = (await client.get(f"/api/v1/workflows?after={first['next']}")).json()
    found = first["workflows"] + second["workflows"]
    assert [each["name"] for each in found] == [f"wf-{number}" for number in range(5)]
    assert second["next"] is None


async def names(client: httpx.AsyncClient, path: str, **parameters: object) -> list[str]:
    answer = await client.get(f"/api/v1/{path}", params=parameters)  # type: ignore[arg-type]
    assert answer.json()["next"] is None
    return [each.get("name", each.get("client_id")) for each in answer.json()[path]]


async def test_the_busiest_streams_by_what_they_do_now() -> None:
    world = World()
    publisher = world.publisher("wf/old", "wf/small", "wf/large", "other/large")
    for _ in range(1000):
        publisher.publish(0, b"long ago")
    publisher.publish(3, bytes(5000))
    async with client_of(world) as client:
        assert await names(client, "streams", sort="messages_per_s", limit=2) == ["wf/old", "other/large"]
        world.clock.advance(2.0)
        for _ in range(10):
            publisher.publish(1, b"small")
        publisher.publish(2, bytes(4000))
        answer = (await client.get("/api/v1/streams?sort=messages_per_s&limit=3")).json()["streams"]
        assert [(each["name"], each["messages_per_s"]) for each in answer] == [
            ("wf/small", 5.0),
            ("wf/large", 0.5),
            ("wf/old", 0.0),
        ]
        assert answer[1]["bytes_per_s"] > 2000
        assert await names(client, "streams", sort="bytes_per_s", pattern="wf/*") == ["wf/large", "wf/small", "wf/old"]
        assert (await client.get("/api/v1/streams")).json()["streams"][0]["messages_per_s"] is None


@pytest.mark.parametrize("pattern", ["**", "*/1"])
async def test_the_busiest_of_very_many_streams_are_those_that_sorting_all_would_give(pattern: str) -> None:
    world = World()
    counts = {f"wf-{number}/{number % 3}": number * 7919 % 11 for number in range(2 * STEP + 100)}
    publisher = world.publisher(*counts)
    async with client_of(world) as client:
        await client.get("/api/v1/streams?sort=messages_per_s&limit=1")
        for alias, count in enumerate(counts.values()):
            for _ in range(count):
                publisher.publish(alias, b"1")
        world.settle()
        world.clock.advance(1.0)
        matching = [name for name in counts if pattern == "**" or name.endswith("/1")]
        expected = sorted(matching, key=lambda name: -counts[name])  # of equal ones the first
        for limit in (1, 150, 1000):
            found = await names(client, "streams", sort="messages_per_s", pattern=pattern, limit=limit)
            assert found == expected[:limit]


async def test_streams_that_end_meanwhile_are_no_others() -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b", "wf/c")
    async with client_of(world) as client:
        await client.get("/api/v1/streams?sort=bytes_per_s")
        (stream,) = [stream for stream in world.core.streams if stream.name == "wf/a"]
        world.core.hub.end(stream, EndReason.DELETED)
        publisher.open(0, "wf/a", Kind.EVENT)
        world.clock.advance(1.0)
        publisher.publish(0, b"new")
        publisher.publish(2, b"more")
        publisher.publish(2, b"more")
        answer = (await client.get("/api/v1/streams?sort=messages_per_s")).json()["streams"]
    assert [(each["name"], each["messages_per_s"]) for each in answer] == [
        ("wf/c", pytest.approx(2.0)),
        ("wf/a", pytest.approx(1.0)),
        ("wf/b", 0.0),
    ]


async def test_the_connections_that_read_least_come_first() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    slow = [world.subscriber("wf/a", name) for name in ("reads", "stuck", "late")]
    world.stranger()
    slow[1].transport.fill_up()
    publisher.publish(0, bytes(5000))
    world.settle()
    slow[2].transport.fill_up()
    publisher.publish(0, bytes(5000))
    world.settle()
    async with client_of(world) as client:
        assert await names(client, "connections", sort="waiting_bytes", limit=2) == ["stuck", "late"]
        assert await names(client, "connections", sort="waiting_bytes") == ["stuck", "late", "publisher", "reads"]


async def test_the_worst_links_come_first() -> None:
    world = World()
    for name, milliseconds in (("near", 1), ("far", 400), ("further", 900)):
        peer = world.peer(name)
        for _ in range(5):
            peer.session.connection.sample_round_trip(milliseconds * 1_000_000)
    async with client_of(world) as client:
        assert await names(client, "connections", sort="score") == ["further", "far", "near"]


async def test_the_connections_whose_programs_are_furthest_behind_come_first() -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    programs = {name: world.subscriber("wf/*", name) for name in ("reads", "slow", "stuck")}
    for alias in (0, 1):
        for _ in range(50):
            publisher.publish(alias, b"1")
    world.settle()
    for name, named in (("slow", {"wf/a": 3, "wf/b": 9}), ("stuck", {"wf/b": 40})):
        numbers = {stream: programs[name].read().stream_id(stream) for stream in named}
        positions = [ProgramPosition(numbers[stream], behind, 50 - behind) for stream, behind in named.items()]
        programs[name].send(ReceiverReport(0, 0, 4096, 1_000_000, tuple(positions)).write())
    async with client_of(world) as client:
        assert await names(client, "connections", sort="behind", limit=2) == ["stuck", "slow"]
        found = (await client.get("/api/v1/connections?sort=behind&limit=2")).json()["connections"]
    assert [connection["link"]["streams_behind"] for connection in found] == [1, 2]
    assert found[1]["link"]["behind"] == [
        {"stream": "wf/b", "offset": 41, "behind": 9},
        {"stream": "wf/a", "offset": 47, "behind": 3},
    ]


async def test_the_busiest_workflows_without_their_edges() -> None:
    world = World()
    publisher = world.publisher("calm/a", "busy/a", "large/a")
    world.subscriber("**", "one")
    publisher.publish(0, b"1")
    publisher.send(publisher.batch(1, [b"1"] * 100))
    publisher.publish(2, bytes(9000))
    sweep(world)
    async with client_of(world) as client:
        assert await names(client, "workflows", sort="messages_per_s", limit=1) == ["busy"]
        assert (await names(client, "workflows", sort="bytes_per_s"))[0] == "large"
        assert await names(client, "workflows", sort="bytes_per_s", name="calm") == ["calm"]
        (found,) = (await client.get("/api/v1/workflows?name=busy&edges=0")).json()["workflows"]
        assert (found["clients"], found["edges"]) == (2, [])


@pytest.mark.parametrize(
    ("query", "words"),
    [("sort=size", "is not one of"), ("sort=", "is not one of"), ("sort={}&after=1", "sort and after")],
)
@pytest.mark.parametrize(
    ("path", "order"), [("streams", "bytes_per_s"), ("connections", "waiting_bytes"), ("workflows", "bytes_per_s")]
)
async def test_an_order_that_is_none(path: str, order: str, query: str, words: str) -> None:
    async with client_of(World()) as client:
        response = await client.get(f"/api/v1/{path}?{query.format(order)}")
        assert words in failure_of(response, Code.INVALID_REQUEST, 400)


def client_of(world: World) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(make_application(world.core, Metrics(world.core)))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


@pytest.mark.parametrize("limit", [1, 7, 10, 11, 1000])
@pytest.mark.parametrize(("path", "key"), [("streams", "id"), ("connections", "peer")])
async def test_pages_join_to_the_whole(path: str, key: str, limit: int) -> None:
    world = World()
    world.stranger()
    publishers = [world.peer(f"peer-{number}") for number in range(10)]
    for number, publisher in enumerate(publishers):
        publisher.open(0, f"wf/{number}")
    found: list[int] = []
    after: int | None = 0
    async with client_of(world) as client:
        while after is not None:
            page = (await client.get(f"/api/v1/{path}", params={"after": after, "limit": limit})).json()
            assert len(page[path]) <= limit
            found += [item[key] for item in page[path]]
            after = page["next"]
    assert len(found) == 10
    assert found == sorted(set(found))


async def test_streams_by_pattern() -> None:
    world = World()
    publisher = world.peer()
    for alias, name in enumerate(["wf/a", "wf/b", "wf/b/c", "other/a"]):
        publisher.open(alias, name)
    async with client_of(world) as client:
        for pattern, names in [
            ("wf/*", ["wf/a", "wf/b"]),
            ("wf/**", ["wf/a", "wf/b", "wf/b/c"]),
            ("other/a", ["other/a"]),
            ("none/*", []),
        ]:
            answer = (await client.get("/api/v1/streams", params={"pattern": pattern})).json()
            assert [stream["name"] for stream in answer["streams"]] == names
        failure_of(await client.get("/api/v1/streams?pattern=**/x"), Code.INVALID_NAME, 400)


async def test_more_than_are_looked_at_in_one_turn() -> None:
    world = World()
    publisher = world.peer()
    for alias in range(2 * STEP + 1):
        publisher.open(alias, f"wf/{alias}")
    async with client_of(world) as client:
        answer = (await client.get(f"/api/v1/streams?pattern=wf/{2 * STEP}")).json()
    assert [stream["id"] for stream in answer["streams"]] == [2 * STEP + 1]


async def test_streams_that_end_while_a_page_is_made_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    publisher = world.peer()
    for alias in range(4):
        publisher.open(alias, f"wf/{alias}")

    def ending(core: Core, stream: Stream) -> StreamSnapshot:
        for other in list(core.streams):
            if other.name == "wf/2":
                core.hub.end(other, EndReason.DELETED)
        return stream_snapshot(core, stream)

    monkeypatch.setattr(catalogue, "stream_snapshot", ending)
    async with client_of(world) as client:
        answer = await client.get("/api/v1/streams?limit=3")
    assert [stream["name"] for stream in answer.json()["streams"]] == ["wf/0", "wf/1"]
    assert answer.json()["next"] == 3


@pytest.mark.parametrize("query", ["limit=1001", "limit=x", "after=-1"])
@pytest.mark.parametrize("path", ["streams", "connections", "workflows"])
async def test_a_page_that_is_none(path: str, query: str) -> None:
    async with client_of(World()) as client:
        failure_of(await client.get(f"/api/v1/{path}?{query}"), Code.INVALID_REQUEST, 400)


async def test_long_pages_are_made_one_after_the_other(gateway: Gateway, http: httpx.AsyncClient) -> None:
    for number in range(WRITE_STEP * 2 + 1):
        publish(gateway, f"wf/s{number}", {"": np.ones(1)})
    answers = await asyncio.gather(*(http.get("/api/v1/streams?limit=1000") for _ in range(5)), http.get("/metrics"))
    assert {answer.status_code for answer in answers} == {200}
    names = [[stream["name"] for stream in answer.json()["streams"]] for answer in answers[:-1]]
    assert names == [[f"wf/s{number}" for number in range(WRITE_STEP * 2 + 1)]] * 5
