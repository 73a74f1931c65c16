"""Learned encodings of a real gateway: they are followed, shown, kept for the next start, and load no scikit-learn."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import connect
from gateway.config import Settings
from gateway.optimizer.decisions.decision_file import NAME
from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.optimizer.settings import OptimizerSettings
from gateway.optimizer.shadow.shadow_trials import ShadowTrials
from gateway.testing import running_gateway
from tests.optimizer.prediction.histories import written

TIMEOUT_S = 30.0
TOKENS = np.arange(131_072, dtype=np.int64) % 1000
"""1 MiB that every codec packs."""


def settings(directory: Path) -> Settings:
    optimizer = OptimizerSettings(history_dir=str(directory), sample_interval_s=0.1, trial_cpu_share=0.5)
    return Settings(admin_port=0, drain_deadline_s=2.0, optimizer=optimizer)


async def exchange(gateway: Gateway, done: Callable[[], bool]) -> None:
    """Publish what a receiver then has, byte by byte, until something holds."""
    end_s = time.monotonic() + TIMEOUT_S
    async with (
        connect(gateway.url, client_type="agent") as client,
        connect(gateway.url) as reader,
        reader.subscribe("wf/*") as messages,
    ):
        number = 0
        while not done():
            assert time.monotonic() < end_s
            number += 1
            await client.publish("wf/a", TOKENS + number, codec="none")
            assert np.array_equal((await anext(messages)).tensor, TOKENS + number)
            await asyncio.sleep(0.005)


async def test_a_decision_is_taken_shown_and_kept_for_the_next_start(tmp_path: Path) -> None:
    async with running_gateway(settings(tmp_path)) as gateway:
        history = gateway._history
        assert history is not None

        def decided() -> bool:
            return any(traffic.decisions for traffic in history.busiest(1))

        await exchange(gateway, decided)
        async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60, verify=False) as http:
            shown = (await http.get("/api/v1/optimizer")).json()
            metrics = (await http.get("/metrics")).text
    assert shown["decisions"]["following"]
    (stream,) = shown["trials"]["busiest"]
    assert stream["decisions"]  # one for each link tier that its receiver has had
    for decision in stream["decisions"]:
        assert decision["reason"]
        assert decision["verdict"]["words"]
    assert "frys_traffic_decisions_followed 1.0" in metrics
    kept = DecisionTable.from_json((tmp_path / NAME).read_bytes())
    assert {key.stream for key, _ in kept} == {"wf/a"}
    async with running_gateway(settings(tmp_path)) as gateway:
        stats = gateway._history.decision_stats() if gateway._history else None
        end_s = time.monotonic() + TIMEOUT_S
        while stats is None or not stats.table:
            assert time.monotonic() < end_s
            await asyncio.sleep(0.01)
            stats = gateway._history.decision_stats() if gateway._history else None


async def test_a_gateway_that_is_told_not_to_learn_takes_no_decisions(tmp_path: Path) -> None:
    optimizer = OptimizerSettings(history_dir=str(tmp_path), learn=False)
    async with running_gateway(Settings(drain_deadline_s=2.0, optimizer=optimizer)) as gateway:
        assert gateway._history is not None
        assert gateway._history.decision_stats() is None
    assert not (tmp_path / NAME).exists()


def test_the_serving_process_does_not_import_scikit_learn(tmp_path: Path) -> None:
    program = """
import asyncio, json, sys
import numpy as np
from gateway.client import connect
from gateway.config import Settings
from gateway.optimizer.settings import OptimizerSettings
from gateway.testing import running_gateway

async def main():
    optimizer = OptimizerSettings(history_dir=sys.argv[1], sample_interval_s=0.1)
    async with running_gateway(Settings(admin_port=0, drain_deadline_s=1.0, optimizer=optimizer)) as gateway:
        trials = gateway._history
        async with connect(gateway.url) as client, client.subscribe("wf/a") as messages:
            while not trials.prediction_stats().working:
                await client.publish("wf/a", np.arange(16_384), codec="none")
                await anext(messages)
                await asyncio.sleep(0.05)
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} & {"sklearn", "scipy", "joblib"})))

asyncio.run(main())
"""
    written(tmp_path, 20)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def scarce_settings(directory: Path) -> Settings:
    """Settings by which a trial a second, or so, is all that there is time for."""
    optimizer = OptimizerSettings(history_dir=str(directory), sample_interval_s=0.1, trial_cpu_share=0.01)
    return Settings(admin_port=0, drain_deadline_s=2.0, optimizer=optimizer)


async def publish_many(gateway: Gateway, streams: int, done: Callable[[], bool]) -> None:
    """Publish to many streams, of which a receiver has all, until something holds."""
    end_s = time.monotonic() + 2 * TIMEOUT_S
    async with (
        connect(gateway.url, client_type="agent") as client,
        connect(gateway.url) as reader,
        reader.subscribe("wf/*") as messages,
    ):
        while not done():
            assert time.monotonic() < end_s
            for number in range(streams):
                await client.publish(f"wf/{number}", TOKENS[number:32_768], codec="none")
                await anext(messages)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_streams_that_there_is_no_time_to_try_are_decided_by_probes_and_a_model(
    tmp_path: Path, number: signal.Signals
) -> None:
    written(tmp_path, 40)
    async with running_gateway(scarce_settings(tmp_path)) as gateway:
        trials = gateway._history
        assert isinstance(trials, ShadowTrials)

        def by_model() -> list[str]:
            decided = [each for traffic in trials.busiest(1) for each in traffic.decisions]
            return [each.key.stream for each in decided if each.decision.source in ("probe and model", "baseline")]

        def is_probed() -> bool:
            stats = trials.prediction_stats()
            return stats is not None and stats.predicted > 0 and bool(by_model())

        await publish_many(gateway, 1, lambda: bool((stats := trials.prediction_stats()) and stats.working))
        await publish_many(gateway, 12, is_probed)
        async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60, verify=False) as http:
            shown = (await http.get("/api/v1/optimizer")).json()
            metrics = (await http.get("/metrics")).text
        assert shown["predictions"]["model_trials"] == 40
        assert any(stream["probed"] for stream in shown["trials"]["busiest"])
        assert "frys_traffic_model_trials 40.0" in metrics
        assert trials._predictor is not None
        process = trials._predictor._process
        assert process is not None
        os.kill(process.pid, number)
        before = trials.trial_stats().tried
        await publish_many(gateway, 12, lambda: trials.trial_stats().tried >= before + 3)
        decisions = trials.decision_stats()
        assert decisions is not None
        assert decisions.following
