"""A store whose disk is full: publishes are refused, nothing that was acknowledged is lost, and the gateway goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import connect
from gateway.config import Settings
from gateway.errors import Code, RequestRefused
from gateway.streams.sqlite.store import SqliteStreamStore
from gateway.testing import running_gateway

SIZE = 8_000
"""Of int64: more than what is left on a full disk."""


def limit_pages(gateway: Gateway, pages: int) -> None:
    """The file may not grow past so many pages; SQLite says of the next one what it says of a full disk."""
    store = gateway._store
    assert isinstance(store, SqliteStreamStore)
    connection: sqlite3.Connection = store._database._connection
    connection.execute(f"PRAGMA max_page_count={pages}")


async def test_a_full_disk_loses_nothing_and_stops_nobody_else(tmp_path: Path) -> None:
    settings = Settings(admin_port=None, store=f"sqlite:{tmp_path}/streams.db")
    acknowledged: list[int] = []
    async with running_gateway(settings) as gateway, connect(gateway.url, backoff=None) as client:

        async def publish(value: int) -> None:
            result = await client.publish("wf/log", np.full(SIZE, value), kind="event", durability="fsync")
            assert result.offset == len(acknowledged)
            acknowledged.append(value)

        for value in range(3):
            await publish(value)
        limit_pages(gateway, 1)
        for value in range(100, 103):
            with pytest.raises(RequestRefused, match=r"not stored, try again later: .*full") as refused:
                await publish(value)
            assert refused.value.code == Code.QUEUE_FULL
        # Streams in memory do not notice; and what is larger than a chunk is refused as well.
        await client.publish("wf/memory", np.zeros(SIZE))
        large = np.random.default_rng(7).random(100 * SIZE)
        with pytest.raises(RequestRefused, match="not stored, try again later: chunks of message 3 of wf/log"):
            await client.publish("wf/log", large)
        limit_pages(gateway, 1_000_000)
        for value in range(3, 6):
            await publish(value)
    async with running_gateway(settings) as gateway, connect(gateway.url, backoff=None) as client:
        messages = client.subscribe("wf/log", since="beginning")
        found = [await anext(messages) for _ in acknowledged]
        assert [int(message.tensor[0]) for message in found] == acknowledged == list(range(6))
        assert [message.offset for message in found] == list(range(6))
