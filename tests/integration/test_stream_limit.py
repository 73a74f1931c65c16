"""A gateway at ``max_streams`` can be used again once the messages of earlier streams are too old."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from gateway.client import Client, connect
from gateway.errors import RequestRefused
from gateway.testing import running_gateway_process

CONFIG = """
[limits]
max_streams = 4

[[streams]]
pattern = "**"
kind = "event"
history = {{ max_messages = 10, max_bytes = 10_000, max_age_s = {age_s} }}
durability = "{durability}"
"""


async def publish(url: str, name: str) -> None:
    """Publish as a program that lives for one message."""
    async with connect(url) as client:
        await client.publish(name, np.float32(1))


async def publish_when_there_is_room(url: str, name: str) -> None:
    while True:
        try:
            return await publish(url, name)
        except RequestRefused as refusal:
            assert "max_streams=4" in str(refusal)  # noqa: PT017 - the others are let through
            await asyncio.sleep(0.05)


async def one_of(watcher: Client, expected: set[str]) -> None:
    """Wait until a message of each of these streams has come."""
    async with watcher.subscribe("*/loss", since="beginning") as messages:
        async for message in messages:
            expected.discard(message.stream)
            if not expected:
                return


@pytest.mark.parametrize("durability", ["memory", "os", "fsync"])
async def test_short_lived_streams_make_room_for_others(tmp_path: Path, durability: str) -> None:
    config = tmp_path / "frys.toml"
    config.write_text(CONFIG.format(age_s=0.5, durability=durability))
    arguments = ("--config", str(config), "--store", f"sqlite:{tmp_path / 'streams.db'}")
    for _ in range(2):
        with running_gateway_process(*arguments) as gateway:
            async with connect(gateway.url, client_id="watcher") as watcher:
                # Names are used again, with another epoch each time; one who subscribes by a pattern gets them all.
                seen = asyncio.ensure_future(one_of(watcher, {f"run-{number}/loss" for number in range(6)}))
                for number in range(6):
                    await publish_when_there_is_room(gateway.url, f"run-{number}/loss")
                await seen


@pytest.mark.parametrize("durability", ["memory", "fsync"])
async def test_what_is_fresh_stays(tmp_path: Path, durability: str) -> None:
    config = tmp_path / "frys.toml"
    config.write_text(CONFIG.format(age_s=600, durability=durability))
    arguments = ("--config", str(config), "--store", f"sqlite:{tmp_path / 'streams.db'}")
    with running_gateway_process(*arguments) as gateway:
        for number in range(4):
            await publish(gateway.url, f"run-{number}/loss")
    with running_gateway_process(*arguments) as gateway:
        if durability == "memory":
            for number in range(4):
                await publish(gateway.url, f"run-{number}/loss")
        with pytest.raises(RequestRefused, match="none that is empty and unused"):
            await publish(gateway.url, "run-4/loss")
        async with connect(gateway.url) as watcher:
            await one_of(watcher, {f"run-{number}/loss" for number in range(4)})
