"""Clients that come back behind a restart: the past that the first ones have read is in memory for the next ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from gateway.client import connect
from gateway.config import Settings
from gateway.testing import running_gateway
from tests.integration.peer import until

STREAM = "wf/results"
COUNT = 50


async def joined(url: str, client_id: str) -> list[int]:
    """What a client gets that reads everything that is kept."""
    got: list[int] = []
    async with connect(url, client_id=client_id) as client, client.subscribe(STREAM, since="beginning") as messages:
        async for message in messages:
            got.append(int(message.tensor[0]))
            if len(got) == COUNT:
                break
    return got


async def test_those_that_join_behind_the_first_ones_read_the_past_from_memory(tmp_path: Path) -> None:
    settings = Settings(admin_port=None, drain_deadline_s=2.0, store=f"sqlite:{tmp_path / 'streams.db'}")
    async with running_gateway(settings) as gateway, connect(gateway.url, client_id="publisher") as publisher:
        await asyncio.gather(
            *[publisher.publish(STREAM, np.array([number]), kind="event", durability="os") for number in range(COUNT)]
        )
    async with running_gateway(settings) as gateway:
        tails = gateway.core.planning.actuator.tails
        for client_id in ("first", "second"):
            assert await joined(gateway.url, client_id) == list(range(COUNT))
        assert tails.stats().hits == 0
        await until(lambda: tails.stats().held_bytes > 0)
        assert await joined(gateway.url, "third") == list(range(COUNT))
        assert tails.stats().hits > 0
        (begun,) = gateway.core.planning.snapshot().adjustments
        assert str(begun.site) == f"prefetch of {STREAM}"
        assert begun.words == "2 clients that have joined wf read its past from the store: others are to come"
