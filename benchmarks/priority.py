"""Latency of control messages to a receiver while a 256 MB tensor is being sent to it, through the SDKs.

Publisher, commander and receiver are processes of their own. A command carries its time; the receiver counts the
commands that arrive between the tensor's first chunk (its progress callback) and its end.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial
from multiprocessing.synchronize import Event
from typing import Final

import numpy as np

from benchmarks import servers
from benchmarks.machine import LOAD_CORE, SPARE_CORE
from benchmarks.processes import Server, VerificationFailed
from benchmarks.report import Bar, Section, table
from benchmarks.samples import Result, Samples
from benchmarks.sdk import SPAWN, child, result_of
from benchmarks.sdk_clients import Plan, Results, run_client, wait_for
from benchmarks.settings import Settings
from gateway.client import connect

TENSOR_BYTES: Final = 256 * 1024 * 1024
PERIOD_S: Final = 0.005
WHAT: Final = "control beside a tensor"
SDK: Final = "SDK"

_runs: Final = itertools.count()


def publish_tensor(plan: Plan, core: int, subscribed: Event, size: int) -> None:
    """Publish one tensor, as fast as the gateway takes it."""
    run_client(core, _publish_tensor(plan, subscribed, size))


async def _publish_tensor(plan: Plan, subscribed: Event, size: int) -> None:
    tensor = np.random.default_rng(1).random(size // 4, np.float32)
    async with connect(plan.url, client_type="agent", client_id="publisher") as client:
        await wait_for(subscribed)
        await client.publish(f"{plan.stream}/tensor", tensor, kind="event", codec="none")


def command(plan: Plan, core: int, subscribed: Event, done: Event) -> None:
    """Publish a control message every :data:`PERIOD_S` until ``done`` is set."""
    run_client(core, _command(plan, subscribed, done))


async def _command(plan: Plan, subscribed: Event, done: Event) -> None:
    async with connect(plan.url, client_type="admin_panel", client_id="commander") as client:
        await wait_for(subscribed)
        for number in itertools.count():
            if done.is_set():
                return
            fields = np.array([number, time.monotonic_ns()], np.int64)
            client.publish_nowait(f"{plan.stream}/command", fields, kind="control")
            await asyncio.sleep(PERIOD_S)


def receive(plan: Plan, core: int, subscribed: Event, done: Event, results: Results, size: int) -> None:
    """Receive both streams on one connection, and report the latencies of commands during the tensor."""
    run_client(core, _receive(plan, subscribed, done, results, size))


async def _receive(plan: Plan, subscribed: Event, done: Event, results: Results, size: int) -> None:
    latencies_s: list[float] = []
    numbers: list[int] = []
    begin_s = 0.0

    def progress(*_: object) -> None:
        nonlocal begin_s
        begin_s = begin_s or time.monotonic()

    async with (
        connect(plan.url, client_type="agent", client_id="receiver") as client,
        client.subscribe(f"{plan.stream}/*", progress=progress) as messages,
    ):
        subscribed.set()
        async for message in messages:
            if message.stream.endswith("/tensor"):
                break
            number, sent_ns = (int(field) for field in message.tensor)
            numbers.append(number)
            if begin_s:
                latencies_s.append(time.monotonic() - sent_ns / 1e9)
    seconds = time.monotonic() - begin_s
    done.set()
    if message.tensor.nbytes != size or numbers != list(range(len(numbers))) or not latencies_s:
        raise VerificationFailed(f"{message.tensor.nbytes} bytes and {len(latencies_s)} of {len(numbers)} commands")
    p50, largest = np.percentile(latencies_s, (50, 100)) * 1e3
    results.put(
        {
            "p50_ms": float(p50),
            "max_ms": float(largest),
            "commands": len(latencies_s),
            "bytes_per_second": size / seconds,
        }
    )


def measure(server: Server, size: int) -> Result:
    """Measure the commands beside one tensor."""
    results: Results = SPAWN.Queue()
    subscribed, done = SPAWN.Event(), SPAWN.Event()
    plan = Plan(f"ws://127.0.0.1:{server.port}", f"priority-{next(_runs)}")
    with (
        child(receive, plan, LOAD_CORE, subscribed, done, results, size) as receiver,
        child(command, plan, SPARE_CORE, subscribed, done) as commander,
        child(publish_tensor, plan, SPARE_CORE, subscribed, size) as publisher,
    ):
        return result_of(results, receiver, commander, publisher)


def run(settings: Settings) -> Section:
    """Measure, and return the section of the report."""
    samples = Samples()
    size = settings.count(TENSOR_BYTES // 4096) * 4096
    with servers.gateway(settings.gateway) as server:
        server.settle()
        for _ in range(settings.repeats):
            samples.take(WHAT, SDK, partial(measure, server, size), "max_ms")
    keys = (("p50_ms", "median, ms"), ("max_ms", "slowest, ms"), ("commands", "commands"))
    rows = [(title, f"{samples.median(WHAT, SDK, key):.1f}") for key, title in keys]
    rows.append(("tensor, MB/s", f"{samples.median(WHAT, SDK, 'bytes_per_second') / 1e6:.0f}"))
    text = (
        f"Control messages that arrive while a tensor of {size / 1e6:.0f} MB is being sent to the same connection: "
        f"publish to deliver, medians of {settings.repeats} runs. Server and publishers share a core."
    )
    bars = (
        Bar("slowest control message beside a tensor", samples.median(WHAT, SDK, "max_ms"), 50.0, "ms", at_most=True),
    )
    return Section("Priority", text, (table(("", SDK), rows),), bars, tuple(samples.failures))
