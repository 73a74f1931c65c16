"""Payloads that their publisher has encoded and the gateway encodes anew: both clients get them whole, of any size."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.client import connect, sync
from gateway.config import Settings
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.optimizer.decisions.learned_policy import LearnedPolicy
from gateway.optimizer.settings import OptimizerSettings
from gateway.protocol.encoding import Chain
from gateway.streams.stream import Stream
from gateway.testing import running_gateway

SIZES = (8_192, 65_536, 700_000)
"""Numbers of an array: in one frame, encoded in a thread, and in chunks."""


@pytest.mark.parametrize("kind", ["event", "state"])
async def test_what_is_encoded_anew_is_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    used: list[str] = []

    def anew_for(_: LearnedPolicy, stream: Stream, profile: ReceiverProfile) -> Chain:
        used.append(stream.name)
        return Chain(True, "zstd", 3)

    monkeypatch.setattr(LearnedPolicy, "anew_for", anew_for)
    optimizer = OptimizerSettings(history_dir=str(tmp_path))
    arrays = [np.random.default_rng(size).integers(0, 256, size) for size in SIZES]

    subscribed = threading.Event()

    def take(url: str) -> list[Any]:
        with sync.connect(url) as client, client.subscribe("wf/*") as messages:
            subscribed.set()
            return [next(messages).tensor for _ in arrays]

    async with running_gateway(Settings(drain_deadline_s=2.0, optimizer=optimizer)) as gateway:
        taking = asyncio.create_task(asyncio.to_thread(take, gateway.url))
        async with (
            connect(gateway.url, client_type="agent") as client,
            connect(gateway.url) as reader,
            reader.subscribe("wf/*") as messages,
        ):
            await asyncio.to_thread(subscribed.wait)
            for number, array in enumerate(arrays):
                await client.publish(f"wf/{number}", array, kind=kind, codec="lz4")
                np.testing.assert_array_equal((await anext(messages)).tensor, array)
            for array, taken in zip(arrays, await taking, strict=True):
                np.testing.assert_array_equal(taken, array)
    assert set(used) == {f"wf/{number}" for number in range(len(arrays))}
