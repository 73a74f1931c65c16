"""The wall clock is set, by an hour and either way: nothing that is fresh is lost, late, or dated wrongly."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from gateway.client import Client, Notice, connect
from gateway.client.sync import Client as BlockingClient
from gateway.client.sync import connect as connect_blocking
from gateway.testing import GatewayProcess, running_gateway, running_gateway_process

HOUR_S = 3600
SECOND_NS = 10**9

CONFIG = """
heartbeat_interval_s = 0.4

[[streams]]
pattern = "short/*"
kind = "event"
history = { max_messages = 100, max_bytes = 100_000, max_age_s = 0.1 }
"""

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    long step = 0;
    FILE *file = fopen(getenv("CLOCK_STEP"), "r");
    if (file) { if (fscanf(file, "%ld", &step) != 1) step = 0; fclose(file); }
    if (clock == CLOCK_REALTIME) now->tv_sec += step;
    return result;
}
"""
"""Adds the seconds in a file to the wall clock of a process."""


@dataclass
class Wall:
    """The wall clock of this process."""

    set_s: int = 0
    """Seconds by which it is set ahead."""

    def time_ns(self, real=time.time_ns) -> int:  # type: ignore[no-untyped-def]
        return int(real()) + self.set_s * SECOND_NS


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(time, "time_ns", wall.time_ns)
    return wall


async def received_of_one_task(planner: Client, worker: Client, stream: str) -> float:
    """Publish a task that expires within half a minute, and return how long it was under way."""
    async with worker.subscribe(stream) as tasks:
        await planner.publish(stream, np.int64(1), kind="collaboration", expires_in_s=30)
        async for task in tasks:
            assert 0 <= task.latency_s < 30
            return task.latency_s
    raise AssertionError("the subscription ended")


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
async def test_a_step_on_the_clients_machine(wall: Wall, step_s: int) -> None:
    with running_gateway_process() as gateway:
        notices: list[Notice] = []
        async with (
            connect(gateway.url, client_id="planner", on_notice=notices.append) as planner,
            connect(gateway.url, client_id="worker") as worker,
        ):
            await received_of_one_task(planner, worker, "wf/before")
            wall.set_s = step_s
            assert abs(planner.clock_offset_s + step_s) < 1
            await received_of_one_task(planner, worker, "wf/after")
            async with worker.subscribe("wf/log") as log:
                await planner.publish("wf/log", np.int64(1), kind="event")
                async for message in log:
                    assert abs(message.timestamp_ns + step_s * SECOND_NS - time.time_ns()) < 30 * SECOND_NS
                    break
        assert notices == []


async def test_a_client_whose_machine_has_a_wrong_clock_from_the_start(wall: Wall) -> None:
    with running_gateway_process() as gateway:
        wall.set_s = -HOUR_S
        async with (
            connect(gateway.url, client_id="planner") as planner,
            connect(gateway.url, client_id="worker") as worker,
        ):
            assert abs(planner.clock_offset_s - HOUR_S) < 1
            await received_of_one_task(planner, worker, "wf/tasks")


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
async def test_a_step_on_the_gateways_machine(wall: Wall, step_s: int) -> None:
    """The clients run on the same machine, and keep the offset that they have measured."""
    async with running_gateway() as gateway, connect(gateway.url, client_id="planner") as planner:
        for number in range(20):
            await planner.publish("wf/log", np.int64(number), kind="event")
        for _ in gateway.core.trim_histories():
            pass
        waits = await planner.publish("wf/early", np.int64(1), kind="collaboration", expires_in_s=30)
        wall.set_s = step_s
        for _ in gateway.core.trim_histories():
            pass
        for _ in gateway.core.sweep_consumers():
            pass
        gateway.core.clock.follow()
        assert gateway.core.clock.ahead_ns == pytest.approx(step_s * SECOND_NS, abs=SECOND_NS)
        assert waits.offset == 0
        async with connect(gateway.url, client_id="worker") as worker:
            async with worker.subscribe("wf/log", since="beginning") as log:
                numbers = []
                async for message in log:
                    numbers.append(int(message.tensor))
                    if len(numbers) == 20:
                        break
            assert numbers == list(range(20))
            await received_of_one_task(planner, worker, "wf/tasks")


@pytest.fixture
def shim(tmp_path: Path) -> Iterator[Path]:
    """The file that steps the wall clock of processes that are started meanwhile."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path / "shim.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, "-x", "c", "-", "-ldl"], input=SHIM.encode(), check=True
    )
    step = tmp_path / "step"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "CLOCK_STEP", str(step))
        patch.setitem(os.environ, "LD_PRELOAD", str(library))
        yield step


def wait_for_trims(gateway: GatewayProcess, client: BlockingClient, name: str) -> None:
    """Wait until the gateway has looked at the ages of its messages, in memory and in its store."""
    for number in range(2):
        client.publish(name, np.int64(number), durability="fsync")
    last = client.publish(name, np.int64(2)).offset
    while httpx.get(f"{gateway.admin_url}/api/v1/streams?pattern={name}").json()["streams"][0]["first_offset"] < last:
        time.sleep(0.05)


def numbers_of(client: BlockingClient, name: str, count: int) -> list[int]:
    with client.subscribe(name, since="beginning") as log:
        return [int(message.tensor) for _, message in zip(range(count), log, strict=False)]


def test_a_step_while_a_gateway_with_a_store_runs(shim: Path, tmp_path: Path) -> None:
    config = tmp_path / "frys.toml"
    config.write_text(CONFIG)
    arguments = ("--config", str(config), "--store", f"sqlite:{tmp_path / 'streams.db'}")
    notices: list[Notice] = []
    with (
        running_gateway_process(*arguments) as gateway,
        connect_blocking(gateway.url, client_id="planner", on_notice=notices.append) as planner,
        connect_blocking(gateway.url, client_id="worker") as worker,
        worker.subscribe("wf/tasks") as tasks,
    ):
        for number in range(20):
            planner.publish("wf/log", np.int64(number), kind="event", durability="fsync")
        wait_for_trims(gateway, planner, "short/before")
        shim.write_text(str(HOUR_S))
        wait_for_trims(gateway, planner, "short/after")
        planner.publish("wf/tasks", np.int64(1), kind="collaboration", expires_in_s=30)
        assert int(next(iter(tasks)).tensor) == 1
        assert numbers_of(planner, "wf/log", 20) == list(range(20))
    assert notices == []


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_step_between_two_gateways_with_one_store(shim: Path, tmp_path: Path, step_s: int) -> None:
    config = tmp_path / "frys.toml"
    config.write_text(CONFIG)
    arguments = ("--config", str(config), "--store", f"sqlite:{tmp_path / 'streams.db'}")
    with running_gateway_process(*arguments) as gateway, connect_blocking(gateway.url, client_id="planner") as planner:
        for number in range(20):
            planner.publish("wf/log", np.int64(number), kind="event", durability="fsync")
        planner.publish("wf/tasks", np.int64(0), kind="collaboration", durability="fsync")
        with connect_blocking(gateway.url, client_id="worker") as worker:
            tasks = worker.subscribe("wf/tasks", auto_ack=False)
            tasks.start()
            planner.publish("wf/tasks", np.int64(1), expires_in_s=HOUR_S / 2)
            assert int(next(iter(tasks)).tensor) == 1
    shim.write_text(str(step_s))
    with (
        running_gateway_process(*arguments) as gateway,
        connect_blocking(gateway.url, client_id="planner") as planner,
        connect_blocking(gateway.url, client_id="worker") as worker,
    ):
        wait_for_trims(gateway, planner, "short/after")
        assert numbers_of(planner, "wf/log", 20) == list(range(20))
        with worker.subscribe("wf/tasks") as tasks:
            assert int(next(iter(tasks)).tensor) == 1
