"""Stored payloads of a real gateway: those of streams that an operator has named, and not a byte of others."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np

from gateway.app import Gateway
from gateway.client import connect
from gateway.config import Settings
from gateway.optimizer.history.reading import ReadingTally, read_history
from gateway.optimizer.payloads.payload_files import DIRECTORY, stored_payloads
from gateway.optimizer.settings import OptimizerSettings
from gateway.protocol.names import compile_pattern
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.testing import running_gateway

TIMEOUT_S = 30.0
DRAW = np.random.default_rng(5)
OPEN = DRAW.integers(0, 2**63, 4096)
SECRET = DRAW.integers(0, 2**63, 4096)
"""Payloads of which any eight bytes are unlike all others."""


def settings(directory: Path, *, store_payloads: bool) -> Settings:
    optimizer = OptimizerSettings(history_dir=str(directory), sample_interval_s=0.1, trial_cpu_share=0.5)
    rules = StreamRules([(compile_pattern("open/*"), StreamConfig(store_payloads=store_payloads))])
    plain = Settings(admin_port=0, drain_deadline_s=2.0, optimizer=optimizer)
    return replace(plain, core=replace(plain.core, rules=rules))


async def traffic(gateway: Gateway, url: str) -> None:
    """Publish payloads until the records of both streams, and shadow trials, were written."""
    assert gateway._history is not None
    end_s = time.monotonic() + TIMEOUT_S
    async with (
        connect(url, client_type="agent") as client,
        connect(url) as reader,
        reader.subscribe("*/ids") as messages,
    ):
        tried = 0
        while gateway._history.stats().written < 4 or tried < 2:
            assert time.monotonic() < end_s
            await client.publish("open/ids", OPEN, codec="none")
            await client.publish("secret/ids", SECRET, codec="none")
            await anext(messages)
            await anext(messages)
            await asyncio.sleep(0.01)
            trials = gateway._history.trial_stats()
            tried = 0 if trials is None else trials.tried


def traces(directory: Path, payload: bytes) -> int:
    """Return how often the first elements of a payload are in files below a directory."""
    files = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    return sum([file.count(payload[at : at + 8]) for file in files for at in range(0, 800, 8)])


async def test_only_streams_that_an_operator_has_named_are_stored(tmp_path: Path) -> None:
    async with running_gateway(settings(tmp_path, store_payloads=True)) as gateway:
        await traffic(gateway, gateway.url)
        async with httpx.AsyncClient(base_url=gateway.admin_url or "") as http:
            shown = (await http.get("/api/v1/optimizer")).json()["payloads"]
        assert shown["directory"] == str(tmp_path / DIRECTORY)
        assert shown["taken"] == 1
    (found,) = stored_payloads(tmp_path / DIRECTORY, 10)
    assert (found.description.stream, found.sample) == ("open/ids", OPEN.tobytes())
    (file,) = (tmp_path / DIRECTORY).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert traces(tmp_path, OPEN.tobytes()) == 100
    assert traces(tmp_path, SECRET.tobytes()) == 0


async def test_nothing_of_a_payload_reaches_the_disk_unless_it_is_turned_on(tmp_path: Path) -> None:
    async with running_gateway(settings(tmp_path, store_payloads=False)) as gateway:
        await traffic(gateway, gateway.url)
        async with httpx.AsyncClient(base_url=gateway.admin_url or "") as http:
            assert (await http.get("/api/v1/optimizer")).json()["payloads"] is None
    assert {each.stream for each in read_history(tmp_path, ReadingTally())} == {"open/ids", "secret/ids"}
    assert not (tmp_path / DIRECTORY).exists()
    assert traces(tmp_path, OPEN.tobytes()) == traces(tmp_path, SECRET.tobytes()) == 0
