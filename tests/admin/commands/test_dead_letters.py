"""Dead letters over HTTP: found with their reason, and sent again once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.admin.commands import dead_letters
from gateway.app import Gateway
from gateway.client import Client, connect
from gateway.config import Settings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.sessions.local import LocalConnection
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.limits import Limits
from gateway.testing import running_gateway
from tests.admin.document.test_openapi import check_answer
from tests.admin.files import CHUNK_BYTES, failure_of

LETTERS = "wf/tasks.dead"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway that gives a task up after one try."""
    core = CoreSettings(consumers=ConsumerSettings(max_tries=1), limits=Limits(chunk_bytes=CHUNK_BYTES))
    settings = Settings(admin_port=0, drain_deadline_s=5.0, core=core, store=f"sqlite:{tmp_path}/streams.db")
    async with running_gateway(settings) as gateway:
        yield gateway


@pytest.fixture
async def publisher(gateway: Gateway) -> AsyncIterator[Client]:
    async with connect(gateway.url, client_id="planner", on_notice=lambda notice: None) as client:
        yield client


async def letters_of(http: httpx.AsyncClient, count: int, query: str = "") -> list[dict[str, Any]]:
    """The dead letters, once there are so many."""
    for _ in range(1000):
        answer = await http.get(f"/api/v1/dead-letters{query}")
        check_answer(answer, "/api/v1/dead-letters")
        found: list[dict[str, Any]] = answer.json()["dead_letters"]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"no {count} dead letters have come")


async def resent(http: httpx.AsyncClient, offset: int, stream: str = LETTERS) -> httpx.Response:
    answer = await http.post("/api/v1/dead-letters/resend", json={"stream": stream, "offset": offset})
    check_answer(answer, "/api/v1/dead-letters/resend", "post")
    return answer


@pytest.mark.parametrize("durability", ["memory", "os"])
@pytest.mark.parametrize("size", [3, CHUNK_BYTES])
async def test_a_letter_is_sent_again_as_it_was_once(
    gateway: Gateway, http: httpx.AsyncClient, publisher: Client, size: int, durability: str
) -> None:
    async with (
        connect(gateway.url, client_id="worker") as worker,
        worker.subscribe("wf/tasks", auto_ack=False) as messages,
    ):
        tensors = {"w": np.arange(size, dtype="<f4"), "b": np.int8(1)}
        await publisher.publish("wf/tasks", tensors, kind="collaboration", headers={"step": 7}, durability=durability)
        await (await anext(messages)).nack()
        (letter,) = await letters_of(http, 1)
        assert (letter["stream"], letter["offset"], letter["origin"], letter["origin_offset"]) == (
            LETTERS,
            0,
            "wf/tasks",
            0,
        )
        assert (letter["client_id"], letter["tries"], letter["resent_s"]) == ("worker", 1, None)
        assert "refused" in letter["reason"]
        assert letter["tensors"][0] == {"name": "w", "dtype": "float32", "shape": [size]}
        both = await asyncio.gather(resent(http, 0), resent(http, 0))
        assert sorted(answer.json()["already"] for answer in both) == [False, True], "a double click sends it once"
        assert [answer.json()["messages"] for answer in both] == [1, 1]
        again = await anext(messages)
        np.testing.assert_array_equal(again.tensors["w"], tensors["w"])
        assert (again.offset, again.headers, int(again.tensors["b"])) == (1, {"step": 7}, 1)
        await again.ack()
        assert (await resent(http, 0)).json()["already"]
        (letter,) = await letters_of(http, 1)
        assert letter["resent_s"] > 0, "it stays, and is marked"
        assert (await http.get("/api/v1/tasks")).json()["streams"][0]["published"] == 2


async def test_the_records_of_a_batch_are_sent_one_by_one(
    gateway: Gateway, http: httpx.AsyncClient, publisher: Client
) -> None:
    async with (
        connect(gateway.url, client_id="worker") as worker,
        worker.subscribe("wf/tasks", auto_ack=False) as messages,
    ):
        await publisher.publish("wf/tasks", np.int64(0), kind="collaboration")
        await (await anext(messages)).ack()
        for value in (5, 6, 7):
            publisher.publish_nowait("wf/tasks", np.int64(value))
        for _ in range(3):
            await (await anext(messages)).nack()
        found = await letters_of(http, 1)
        sent = [(await resent(http, letter["offset"])).json()["messages"] for letter in found[::-1]]
        assert sum(sent) == 3
        assert [int((await anext(messages)).tensor) for _ in range(3)] == [5, 6, 7]


async def test_headers_that_stood_in_a_tensor_are_headers_again(
    gateway: Gateway, http: httpx.AsyncClient, publisher: Client
) -> None:
    headers = {"note": "x" * 65_000}
    async with (
        connect(gateway.url, client_id="worker") as worker,
        worker.subscribe("wf/tasks", auto_ack=False) as messages,
    ):
        await publisher.publish("wf/tasks", np.arange(5, dtype="<i2"), kind="control", headers=headers)
        await (await anext(messages)).nack()
        await letters_of(http, 1)
        assert (await resent(http, 0)).status_code == 200
        again = await anext(messages)
        np.testing.assert_array_equal(again.tensor, np.arange(5))
        assert again.headers == headers


async def test_what_cannot_be_sent_again(
    gateway: Gateway, http: httpx.AsyncClient, publisher: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure_of(await resent(http, 0), Code.UNKNOWN_STREAM, 404)
    await publisher.publish("wf/state", 1.0)
    failure_of(await resent(http, 0, "wf/state"), Code.UNKNOWN_STREAM, 404)
    async with (
        connect(gateway.url, client_id="worker") as worker,
        worker.subscribe("wf/tasks", auto_ack=False) as messages,
    ):
        for value in range(3):
            await publisher.publish("wf/tasks", np.int64(value), kind="collaboration")
            await (await anext(messages)).nack()
        assert [letter["offset"] for letter in await letters_of(http, 3)] == [2, 1, 0], "the newest first"
        assert [letter["offset"] for letter in await letters_of(http, 1, "?limit=2&pattern=wf/*")] == [2, 1]
        assert (await http.get("/api/v1/dead-letters?pattern=other/*")).json() == {"dead_letters": [], "streams": []}
        with monkeypatch.context() as patch:
            patch.setattr(dead_letters, "READ_BYTES", 1)
            assert [letter["offset"] for letter in await letters_of(http, 1)] == [2], "no more is read than one"
        failure_of(await resent(http, 3), Code.UNKNOWN_STREAM, 404)
        for body in ({}, {"stream": LETTERS}, {"stream": LETTERS, "offset": "0"}, {"stream": LETTERS, "ofset": 0}):
            answer = await http.post("/api/v1/dead-letters/resend", json=body)
            failure_of(answer, Code.INVALID_REQUEST, 400)
        foreign = await http.post("/api/v1/dead-letters/resend", content=b'{"stream":"wf/tasks.dead","offset":0}')
        assert foreign.status_code == 415, "no page of another site can do it"
        monkeypatch.setattr(dead_letters, "MAX_REMEMBERED", 1)
        assert [(await resent(http, offset)).json()["already"] for offset in (0, 1, 1, 0)] == [
            False,
            False,
            True,
            False,
        ]
    assert (await http.delete("/api/v1/streams/wf/tasks")).status_code == 200
    assert "has ended" in failure_of(await resent(http, 2), Code.UNKNOWN_STREAM, 404)


async def test_a_letter_that_waits_for_room_holds_up_no_other(
    gateway: Gateway, http: httpx.AsyncClient, publisher: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = asyncio.Event(), asyncio.Semaphore(0)
    publish = dead_letters._publish

    async def publish_later(connection: LocalConnection, target: StreamName, *content: Any) -> None:
        if target == "wf/full":
            begun.release()
            await go_on.wait()
        await publish(connection, target, *content)

    monkeypatch.setattr(dead_letters, "_publish", publish_later)
    monkeypatch.setattr(dead_letters, "MAX_SENDING", 2)
    async with (
        connect(gateway.url, client_id="worker") as worker,
        worker.subscribe("wf/full", auto_ack=False) as full,
        worker.subscribe("wf/tasks", auto_ack=False) as messages,
        asyncio.TaskGroup() as group,
    ):
        for stream, received in (("wf/full", full), ("wf/full", full), ("wf/tasks", messages)):
            await publisher.publish(stream, np.int64(1), kind="collaboration")
            await (await anext(received)).nack()
        await letters_of(http, 3)
        twice = [group.create_task(resent(http, 0, "wf/full.dead")) for _ in range(2)]
        await begun.acquire()
        assert (await resent(http, 0)).status_code == 200
        other = group.create_task(resent(http, 1, "wf/full.dead"))
        await begun.acquire()
        failure_of(await resent(http, 0), Code.QUEUE_FULL, 429)
        go_on.set()
        assert sorted([(await each).json()["already"] for each in twice]) == [False, True]
        assert not (await other).json()["already"]
        assert (await resent(http, 0)).json()["already"]
