"""Shadow trials of a real gateway: what they advise is shown, and clients feel nothing of a worker that fails."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import connect
from gateway.config import Settings
from gateway.optimizer.settings import OptimizerSettings
from gateway.optimizer.shadow.shadow_trials import ShadowTrials
from gateway.testing import running_gateway

TIMEOUT_S = 30.0
TOKENS = np.arange(32_768, dtype=np.int64) % 1000


def settings(directory: Path) -> Settings:
    optimizer = OptimizerSettings(history_dir=str(directory), sample_interval_s=0.1, trial_cpu_share=0.5)
    return Settings(admin_port=0, drain_deadline_s=2.0, optimizer=optimizer)


def trials_of(gateway: Gateway) -> ShadowTrials:
    assert isinstance(gateway._history, ShadowTrials)
    return gateway._history


def worker_of(gateway: Gateway) -> int:
    process = trials_of(gateway)._worker._process
    assert process is not None
    return process.pid


async def exchange(url: str, streams: list[str], done: Callable[[], bool]) -> None:
    """Publish to each stream what a receiver then has, until something holds."""
    end_s = time.monotonic() + TIMEOUT_S
    async with (
        connect(url, client_type="agent") as client,
        connect(url) as reader,
        reader.subscribe("wf/*") as messages,
    ):
        while not done():
            assert time.monotonic() < end_s
            for stream in streams:
                await client.publish(stream, TOKENS, codec="none")
                await anext(messages)
            await asyncio.sleep(0.01)


def read_by_command(directory: Path) -> tuple[dict[str, Any], str]:
    """Return the JSON and the text of ``frys optimizer history``."""
    command = [sys.executable, "-m", "gateway", "optimizer", "history", str(directory)]
    ended = [subprocess.run([*command, *more], capture_output=True, text=True, check=True) for more in (["--json"], [])]
    return json.loads(ended[0].stdout), ended[1].stdout


async def test_the_api_and_the_command_tell_which_encoding_would_be_the_best(tmp_path: Path) -> None:
    async with running_gateway(settings(tmp_path)) as gateway:
        trials = trials_of(gateway)
        await exchange(gateway.url, ["wf/a", "wf/b"], lambda: trials.trial_stats().tried >= 2)
        async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60, verify=False) as http:
            shown = (await http.get("/api/v1/optimizer")).json()["trials"]
            metrics = (await http.get("/metrics")).text
    assert shown["tried"] >= 2
    assert 'frys_traffic_trials_total{fate="tried"}' in metrics
    assert {each["stream"] for each in shown["busiest"]} <= {"wf/a", "wf/b"}
    for stream in shown["busiest"]:
        slowest = stream["classes"][0]["advice"][0]
        assert slowest["tier"] == "2 Mbit/s"
        assert slowest["best"] != "none"
    found, printed = await asyncio.to_thread(read_by_command, tmp_path)
    assert {each["stream"] for each in found["tried"]} == {"wf/a", "wf/b"}
    assert found["trials"] >= 2
    assert "20 Mbit/s receiver" in printed


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_clients_feel_nothing_of_a_worker_that_is_killed_or_stopped(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with running_gateway(settings(tmp_path)) as gateway:
        trials = trials_of(gateway)
        await exchange(gateway.url, ["wf/a"], lambda: trials.trial_stats().tried >= 1)
        os.kill(worker_of(gateway), number)
        recorded = trials.stats().recorded
        await exchange(gateway.url, ["wf/a", "wf/b"], lambda: trials.stats().recorded >= recorded + 20)
        if number == signal.SIGKILL:
            await exchange(gateway.url, ["wf/c"], lambda: trials.trial_stats().tried >= 2)
            assert trials.trial_stats().worker_starts == 2
        began_s = time.monotonic()
    assert time.monotonic() - began_s < TIMEOUT_S
    assert not trials.trial_stats().working


async def test_clients_feel_nothing_of_a_worker_without_memory(tmp_path: Path) -> None:
    async with running_gateway(settings(tmp_path)) as gateway:
        trials = trials_of(gateway)
        await exchange(gateway.url, ["wf/a"], lambda: trials.trial_stats().tried >= 1)
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
            resource.prlimit(worker_of(gateway), kind, (1, 1))
        before = trials.trial_stats()
        streams = [f"wf/{number}" for number in range(4)]

        def tried_more() -> bool:
            now = trials.trial_stats()
            return now.tried + now.failed + now.lost >= before.tried + 2

        await exchange(gateway.url, streams, tried_more)
