"""Traffic history of a real gateway: the command reads what was recorded, and clients feel no failure of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gateway.app import Gateway
from gateway.client import Subscription, connect
from gateway.config import Settings
from gateway.optimizer.history.files import history_files
from gateway.optimizer.history.layout import FILE_HEADER
from gateway.optimizer.history.reading import ReadingTally, read_history
from gateway.optimizer.history.traffic_history import TrafficHistory
from gateway.optimizer.settings import OptimizerSettings
from gateway.testing import running_gateway, running_gateway_process

INTERVAL_S = 0.1
TIMEOUT_S = 30.0
WEIGHTS = np.random.default_rng(3).integers(0, 100, (128, 128)).astype(np.float32)


def settings(directory: Path) -> Settings:
    optimizer = OptimizerSettings(history_dir=str(directory), sample_interval_s=INTERVAL_S, trial_cpu_share=0.0)
    return Settings(admin_port=0, drain_deadline_s=2.0, optimizer=optimizer)


def history_of(gateway: Gateway) -> TrafficHistory:
    assert isinstance(gateway._history, TrafficHistory)
    return gateway._history


def read_by_command(directory: Path) -> list[dict[str, Any]]:
    """Return the decisions that ``frys optimizer history`` tells of."""
    command = [sys.executable, "-m", "gateway", "optimizer", "history", str(directory), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    decisions: list[dict[str, Any]] = json.loads(ended.stdout)["decisions"]
    return decisions


def sizes(directory: Path) -> list[int]:
    """Return the sizes of the files of a traffic history that have records."""
    if not directory.exists():
        return []
    return [size for path in history_files(directory) if (size := path.stat().st_size) > len(FILE_HEADER)]


def runs(pid: int) -> bool:
    """Return whether a process runs; one that has ended may wait for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def exchange(url: str, done: Callable[[], bool]) -> int:
    """Publish states, each when the one before has arrived, until something holds; return their number."""
    count, end_s = 0, time.monotonic() + TIMEOUT_S
    async with (
        connect(url, client_type="agent") as client,
        connect(url) as reader,
        reader.subscribe("wf/weights") as messages,
    ):
        while not done() or count < 3:
            assert time.monotonic() < end_s
            count += 1
            await client.publish("wf/weights", WEIGHTS + count, kind="state", codec="none")
            await newest(messages, count - 1)
            await asyncio.sleep(0.01)
    return count


async def newest(messages: Subscription, offset: int) -> None:
    while (await anext(messages)).offset < offset:
        pass


async def test_a_stream_is_recorded_and_the_command_tells_of_it(tmp_path: Path) -> None:
    async with running_gateway(settings(tmp_path)) as gateway:
        history = history_of(gateway)
        count = await exchange(gateway.url, lambda: history.stats().written >= 3)
        async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60, verify=False) as http:
            found = (await http.get("/api/v1/optimizer")).json()
            metrics = (await http.get("/metrics")).text
    shown = found["history"]
    assert shown["directory"] == str(tmp_path)
    assert found["trials"] is None
    assert shown["written"] >= 3
    assert 'frys_traffic_records_total{fate="written"}' in metrics
    stats = history.stats()
    assert stats.recorded == stats.written == len(list(read_history(tmp_path, ReadingTally())))
    decisions = await asyncio.to_thread(read_by_command, tmp_path)
    assert {each["stream"] for each in decisions} == {"wf/weights"}
    assert sum(each["messages"] for each in decisions) <= count
    for each in decisions:
        assert (each["dtype"], each["shape"], each["payload_bytes"]) == ("float32", [128, 128], WEIGHTS.nbytes)
        assert each["client"].startswith("agent frys-python/")
        assert each["features"]["plane_entropy_bits"]
    assert any(each["ratio"] is not None and each["ratio"] < 0.7 for each in decisions)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_clients_feel_nothing_of_a_writing_process_that_is_killed_or_stopped(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with running_gateway(settings(tmp_path)) as gateway:
        history = history_of(gateway)
        await exchange(gateway.url, lambda: history.stats().written >= 1)
        process = history._process._process
        assert process is not None
        os.kill(process.pid, number)
        before = history.stats().recorded
        await exchange(gateway.url, lambda: history.stats().recorded >= before + 2)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < TIMEOUT_S
    stats = history.stats()
    assert stats.waiting == 0
    assert stats.recorded == stats.written + stats.lost + stats.dropped
    assert not stats.writing


async def test_a_writing_process_is_replaced_soon_also_if_a_sample_is_taken_once_an_hour(tmp_path: Path) -> None:
    optimizer = OptimizerSettings(history_dir=str(tmp_path), sample_interval_s=3600.0, trial_cpu_share=0.0)
    async with running_gateway(replace(settings(tmp_path), optimizer=optimizer)) as gateway:
        history = history_of(gateway)
        process = history._process._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await exchange(gateway.url, lambda: history.stats().writer_starts == 2)
        assert history.stats().writing


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_the_processes_end_with_their_gateway(tmp_path: Path, number: signal.Signals) -> None:
    config = tmp_path / "frys.toml"
    config.write_text(f'[optimizer]\nhistory_dir = "{tmp_path}/traffic"\nsample_interval_s = {INTERVAL_S}\n')
    with running_gateway_process("--config", str(config)) as gateway:
        await exchange(gateway.url, lambda: bool(sizes(tmp_path / "traffic")))
        children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children")
        pids = list(map(int, children.read_text().split()))  # noqa: ASYNC240
        assert len(pids) == 3  # the writer, and those of trials and predictions
        gateway.process.send_signal(number)
        await asyncio.to_thread(gateway.process.wait)
        end_s = time.monotonic() + TIMEOUT_S
        while any(map(runs, pids)):
            assert time.monotonic() < end_s
            await asyncio.sleep(0.01)
    tally = ReadingTally()
    assert list(read_history(tmp_path / "traffic", tally))
    assert tally.damaged_bytes == 0


async def test_clients_feel_nothing_of_a_directory_that_cannot_be_written_any_more(tmp_path: Path) -> None:
    place = tmp_path / "place"
    async with running_gateway(settings(place)) as gateway:
        place.write_text("in the way")
        history = history_of(gateway)
        await exchange(gateway.url, lambda: history.stats().failed >= 2)
        assert history.stats().failure == "File exists"
    assert history.stats().written == 0


async def test_a_stop_waits_for_the_last_records_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = 0

    def endless(history: TrafficHistory) -> Iterator[None]:
        nonlocal closed
        while True:
            closed += 1
            yield

    monkeypatch.setattr(TrafficHistory, "close_records", endless)
    async with running_gateway(settings(tmp_path)) as gateway, connect(gateway.url):
        pass  # it stops, which it would not by all records
    assert closed > 1


async def test_without_a_directory_nothing_is_recorded(tmp_path: Path) -> None:
    async with running_gateway(replace(settings(tmp_path), optimizer=OptimizerSettings())) as gateway:
        await exchange(gateway.url, lambda: True)
        assert gateway._history is None
        async with httpx.AsyncClient(base_url=gateway.admin_url or "", timeout=60, verify=False) as http:
            assert (await http.get("/api/v1/optimizer")).json() == {
                "history": None,
                "payloads": None,
                "trials": None,
                "decisions": None,
                "predictions": None,
            }
            assert "frys_traffic" not in (await http.get("/metrics")).text
    assert os.listdir(tmp_path) == []


SERVING = """
import asyncio, sys
from gateway.config import Settings
from gateway.optimizer.settings import OptimizerSettings
from gateway.testing.running import running_gateway

async def serve():
    async with running_gateway(Settings(optimizer=OptimizerSettings(history_dir=sys.argv[1]))):
        pass

asyncio.run(serve())
print(*sys.modules)
"""


def test_a_gateway_does_not_load_a_library_for_learning(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVING, str(tmp_path)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "gateway.optimizer.shadow.shadow_trials" in loaded
    assert [name for name in loaded if name.startswith(("sklearn", "scipy", "gateway.optimizer.learning"))] == []
