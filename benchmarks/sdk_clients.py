"""Publisher and subscriber of ``sdk.py``, each the program of a process of its own."""

from __future__ import annotations

import asyncio
import ctypes
import operator
import os
import struct
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Any, Final, TypeAlias

import numpy as np
import uvloop

from benchmarks.processes import VerificationFailed, bind_to
from gateway.client import Client, connect
from gateway.errors import CapacityError

Results: TypeAlias = "Queue[dict[str, float]]"

RECORD_BYTES: Final = 100
RECORDS: Final = 4096
"""Different records; the number in their first eight bytes counts up to this, and begins again."""
LAST_MARK: Final = 255
"""Last byte of the record that ends a run; the last bytes of all others are lower."""
BURST: Final = 256
"""Publishes between two looks at the clock and at the count of received messages."""
WINDOW: Final = 65_536
"""Messages that the publisher may be ahead of the subscriber, so that the gateway's queue does not overflow."""
WARM_UP_S: Final = 0.5
TENSOR_FLOATS: Final = 256
PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """URL and stream of both clients."""

    url: str
    stream: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Counters shared by both processes."""

    received: ctypes.c_uint64
    sent: ctypes.c_uint64


def run_client(core: int, main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` as the program of a process, bound to ``core``."""
    bind_to(core)
    uvloop.run(main)


async def wait_for(subscribed: Event) -> None:
    """Wait until the subscriber has subscribed."""
    if not await asyncio.to_thread(subscribed.wait, PATIENCE_S):
        raise VerificationFailed("the subscriber did not subscribe")


def _records() -> list[np.ndarray[Any, Any]]:
    # Random, so that no codec compresses them.
    records = np.random.default_rng(1).integers(0, LAST_MARK, (RECORDS, RECORD_BYTES), np.uint8)
    records[:, :8] = np.arange(RECORDS, dtype="<u8").reshape(-1, 1).view(np.uint8)
    return list(records)


def publish_records(plan: Plan, core: int, progress: Progress, subscribed: Event, seconds: float) -> None:
    """Publish by ``publish_nowait`` as fast as possible for ``seconds``, then one marked, acknowledged record."""
    run_client(core, _publish_records(plan, progress, subscribed, seconds))


async def _publish_records(plan: Plan, progress: Progress, subscribed: Event, seconds: float) -> None:
    records = _records()
    last = np.full(RECORD_BYTES, LAST_MARK, np.uint8)
    async with connect(plan.url, client_type="agent", client_id="publisher") as client:
        await wait_for(subscribed)
        await client.publish(plan.stream, records[0], kind="event")
        sent = 1
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if sent - progress.received.value < WINDOW:
                at = sent % RECORDS
                sent += _publish_some(client, plan.stream, records[at : at + BURST])
            await asyncio.sleep(0)
        progress.sent.value = sent
        await client.publish(plan.stream, last)


def _publish_some(client: Client, stream: str, records: Sequence[np.ndarray[Any, Any]]) -> int:
    """Publish until the client's queue is full, and return the number of records that it took."""
    publish = client.publish_nowait
    rest = iter(records)
    try:
        for record in rest:
            publish(stream, record)
    except CapacityError:
        return len(records) - operator.length_hint(rest) - 1
    return len(records)


def subscribe_batches(plan: Plan, core: int, progress: Progress, subscribed: Event, results: Results) -> None:
    """Receive record batches, verify the number of every record, and report messages a second."""
    run_client(core, _subscribe_batches(plan, progress, subscribed, results))


async def _subscribe_batches(plan: Plan, progress: Progress, subscribed: Event, results: Results) -> None:
    count = batches = warm_count = 0
    begin = now = 0.0
    numbers = np.arange(2 * RECORDS, dtype=np.uint64) % RECORDS
    async with (
        connect(plan.url, client_type="agent", client_id="subscriber") as client,
        client.subscribe(plan.stream).batches() as iterator,
    ):
        subscribed.set()
        async for batch in iterator:
            records = batch.array
            if records[-1, -1] == LAST_MARK:
                break
            now = time.monotonic()
            _check_numbers(records, count, numbers)
            count += len(records)
            batches += 1
            progress.received.value = count
            begin = begin or now
            if not warm_count and now - begin >= WARM_UP_S:
                begin, warm_count = now, count
    if count != progress.sent.value:
        raise VerificationFailed(f"{count} of {progress.sent.value} messages arrived")
    results.put({"per_second": (count - warm_count) / (now - begin), "messages": count, "batch": count / batches})


def _check_numbers(records: np.ndarray[Any, Any], count: int, numbers: np.ndarray[Any, Any]) -> None:
    met = np.ascontiguousarray(records[:, :8]).view("<u8").ravel()
    for at in range(0, len(met), RECORDS):
        part = met[at : at + RECORDS]
        first = (count + at) % RECORDS
        if not np.array_equal(part, numbers[first : first + len(part)]):
            raise VerificationFailed(f"record {part[0]} where {first} was expected, after {count} messages")


def publish_paced(plan: Plan, core: int, arrivals: Connection, subscribed: Event, rate: float, count: int) -> None:
    """Publish tensors that carry the time of their publish, at ``rate`` a second; 0: each when the last has arrived."""
    run_client(core, _publish_paced(plan, arrivals, subscribed, rate, count))


async def _publish_paced(plan: Plan, arrivals: Connection, subscribed: Event, rate: float, count: int) -> None:
    async with connect(plan.url, client_type="agent", client_id="publisher") as client:
        await wait_for(subscribed)
        # Two fields of 64 bits at the start of the tensor: when it was published (or due), and its number.
        tensor = np.zeros(TENSOR_FLOATS, np.float32)
        fields = tensor[:4].view(np.int64)
        done = asyncio.get_running_loop().create_future()
        sent = 0

        def publish(time_ns: int) -> None:
            nonlocal sent
            fields[0], fields[1] = time_ns, sent
            client.publish_nowait(plan.stream, tensor, kind="event")
            sent += 1

        def arrived() -> None:
            for _ in os.read(arrivals.fileno(), 4096):
                if sent < count and not rate:
                    publish(time.monotonic_ns())
                elif sent == count and not done.done():
                    done.set_result(None)

        asyncio.get_running_loop().add_reader(arrivals.fileno(), arrived)
        publish(time.monotonic_ns())
        if rate:
            await _at_rate(rate, count - 1, publish)
        await done


async def _at_rate(rate: float, count: int, publish: Callable[[int], None]) -> None:
    """Call ``publish`` at a rate, with the time when each was due. By timerfd: uvloop's timers have steps of 1 ms."""
    libc = ctypes.CDLL(None, use_errno=True)
    timer = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    period_ns = int(1e9 / rate)
    start_ns = time.monotonic_ns()
    setting = struct.pack("<4q", 0, period_ns, 0, period_ns)
    if timer < 0 or libc.timerfd_settime(timer, 0, setting, None):
        raise OSError(ctypes.get_errno(), "timerfd")
    loop = asyncio.get_running_loop()
    finished = loop.create_future()
    due = 0

    def tick() -> None:
        nonlocal due
        for _ in range(struct.unpack("<Q", os.read(timer, 8))[0]):
            due += 1
            if due <= count:
                publish(start_ns + due * period_ns)
        if due >= count and not finished.done():
            finished.set_result(None)

    loop.add_reader(timer, tick)
    try:
        await finished
    finally:
        loop.remove_reader(timer)
        os.close(timer)


def time_arrivals(plan: Plan, core: int, arrivals: Connection, subscribed: Event, results: Results, count: int) -> None:
    """Receive ``count`` tensors, verify their order, and report percentiles of publish to deliver."""
    run_client(core, _time_arrivals(plan, arrivals, subscribed, results, count))


async def _time_arrivals(plan: Plan, arrivals: Connection, subscribed: Event, results: Results, count: int) -> None:
    latencies = np.zeros(count)
    number = 0
    async with (
        connect(plan.url, client_type="agent", client_id="subscriber") as client,
        client.subscribe(plan.stream) as messages,
    ):
        subscribed.set()
        async for message in messages:
            now_ns = time.monotonic_ns()
            time_ns, met = message.tensor[:4].view(np.int64)
            if met != number:
                raise VerificationFailed(f"message {met} where {number} was expected")
            latencies[number] = now_ns - time_ns
            number += 1
            os.write(arrivals.fileno(), b"x")
            if number == count:
                break
    warm = np.percentile(latencies[count // 10 :] / 1e3, (50, 99, 99.9))
    results.put(dict(zip(("p50_us", "p99_us", "p999_us"), map(float, warm), strict=True)))
