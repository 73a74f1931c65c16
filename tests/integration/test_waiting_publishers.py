"""Publishers of events that await acknowledgements, against receivers in processes of their own: nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from gateway.client import Client, connect
from gateway.config import Settings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.planning.sender_credit import bound_senders
from gateway.testing import running_gateway, running_gateway_process
from tests.integration.peer import until

STREAM = "wf/frames"
MIB = 1024 * 1024
READER = """
import asyncio, sys
from gateway.client import connect

async def main(url, last):
    async with connect(url, client_id="reader") as client, client.subscribe("wf/frames") as frames:
        print("ready", flush=True)
        async for frame in frames:
            if frame.offset == last:
                break
        print(frames.stats.received, frames.stats.dropped, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""

FORGETFUL = """
[delivery]
max_event_hold_s = 20

[[streams]]
pattern = "wf/*"
history = { max_bytes = 1_000_000 }
"""


class Outcome(NamedTuple):
    received: int
    dropped: int


class ReaderProcess:
    """A program that is ready at some time, reads, and says at last how many messages came and how many were lost."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ready(self) -> None:
        assert await self._line() == "ready"

    def stop(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    async def outcome(self) -> Outcome:
        received, dropped = (await self._line()).split()
        return Outcome(int(received), int(dropped))

    async def _line(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()


@asynccontextmanager
async def reader_of(url: str, last: int, program: str = READER) -> AsyncIterator[ReaderProcess]:
    """A process that reads, by default events up to an offset."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, url, str(last), stdout=subprocess.PIPE
    )
    reader = ReaderProcess(process)
    try:
        await reader.ready()
        yield reader
    finally:
        if process.returncode is None:
            reader.go_on()
            process.kill()
        await process.wait()


def settings(bound: int, max_event_hold_s: float = 5.0) -> Settings:
    delivery = DeliverySettings(outbox_limit_bytes=bound, max_event_hold_s=max_event_hold_s)
    return Settings(admin_port=None, drain_deadline_s=2.0, core=CoreSettings(delivery=delivery))


async def publish(client: Client, count: int, mib: float, *, compresses: bool = False) -> None:
    frame = np.random.default_rng(0).integers(0, 256, int(mib * MIB), np.uint8)
    if compresses:
        frame[:] = 0
    for _ in range(count):
        await client.publish(STREAM, frame, kind="event", codec="none", timeout_s=60)


@pytest.mark.parametrize("compresses", [False, True], ids=["noise", "zeros"])
@pytest.mark.parametrize(("count", "mib", "bound"), [(40, 4, 16 * MIB), (4, 48, 16 * MIB), (1000, 0.05, 4 * MIB)])
async def test_a_receiver_that_reads_gets_everything_that_was_published_one_after_the_other(
    count: int, mib: float, bound: int, *, compresses: bool
) -> None:
    async with (
        running_gateway(settings(bound, max_event_hold_s=20.0)) as gateway,
        connect(gateway.url, client_id="publisher") as publisher,
        reader_of(gateway.url, count - 1) as reader,
    ):
        await publish(publisher, count, mib, compresses=compresses)
        assert await reader.outcome() == Outcome(count, 0)


@pytest.mark.parametrize(("count", "mib", "bound"), [(12, 4, 32 * MIB), (4, 16, 4 * MIB)])
async def test_several_publishers_of_one_stream_outrun_no_reader(count: int, mib: float, bound: int) -> None:
    async with (
        running_gateway(settings(bound, max_event_hold_s=20.0)) as gateway,
        connect(gateway.url, client_id="one") as one,
        connect(gateway.url, client_id="two") as two,
        connect(gateway.url, client_id="three") as three,
        reader_of(gateway.url, 3 * count - 1) as reader,
    ):
        await asyncio.gather(*[publish(client, count, mib) for client in (one, two, three)])
        assert await reader.outcome() == Outcome(3 * count, 0)


async def test_senders_with_a_credit_wait_before_the_queue_is_long_and_nothing_is_lost() -> None:
    """The credit is the one that plans give the senders of a fan-in."""
    count, credit, mib = 200, MIB // 4, 0.05
    async with (
        running_gateway(settings(64 * MIB, max_event_hold_s=20.0)) as gateway,
        connect(gateway.url, client_id="one") as one,
        connect(gateway.url, client_id="two") as two,
        connect(gateway.url, client_id="three") as three,
        reader_of(gateway.url, 3 * count - 1) as reader,
    ):
        session = gateway.core.pool.newest_of("reader")
        assert session is not None
        bound_senders(session.connection, credit)
        outbox = session.connection.made_outbox()
        reader.stop()
        sending = [asyncio.create_task(publish(client, count, mib)) for client in (one, two, three)]
        await until(lambda: outbox.events.waiting_bytes > credit)
        for _ in range(50):  # another stream is not held up
            await one.publish("wf/other", np.zeros(1000, np.uint8), kind="event")
        assert outbox.events.waiting_bytes <= credit + 2 * 3 * (mib * MIB + 1024)
        assert not any(task.done() for task in sending)
        reader.go_on()
        await asyncio.gather(*sending)
        assert await reader.outcome() == Outcome(3 * count, 0)


@pytest.mark.parametrize(("count", "mib"), [(30, 8), (4, 96)])
async def test_publishes_that_one_client_awaits_at_the_same_time_outrun_no_reader(
    tmp_path: Path, count: int, mib: float
) -> None:
    configuration = tmp_path / "frys.toml"
    configuration.write_text(FORGETFUL)
    with running_gateway_process("--config", str(configuration)) as gateway:
        async with (
            connect(gateway.url, client_id="publisher") as publisher,
            reader_of(gateway.url, count - 1) as reader,
        ):
            await asyncio.gather(*[publish(publisher, 1, mib) for _ in range(count)])
            assert await reader.outcome() == Outcome(count, 0)


async def test_a_reader_that_was_stopped_holds_its_publishers_up_once_and_nobody_else() -> None:
    async with (
        running_gateway(settings(2 * MIB, max_event_hold_s=0.5)) as gateway,
        connect(gateway.url, client_id="publisher") as publisher,
        reader_of(gateway.url, 199) as reader,
    ):
        reader.stop()
        publishing = asyncio.create_task(publish(publisher, 200, 0.5))
        # Another stream, on the same connection.
        for _ in range(50):
            await publisher.publish("wf/other", np.zeros(1000, np.uint8), kind="event")
        await publishing
        reader.go_on()
        received, dropped = await reader.outcome()
        assert received + dropped == 200
        assert dropped > 0


def acknowledged(limit_bytes: int) -> Settings:
    consumers = ConsumerSettings(hold_bytes=limit_bytes // 4, limit_bytes=limit_bytes)
    return Settings(admin_port=None, drain_deadline_s=2.0, core=CoreSettings(consumers=consumers))


async def test_tasks_larger_than_the_limit_go_through_one_after_the_other() -> None:
    async with (
        running_gateway(acknowledged(4 * MIB)) as gateway,
        connect(gateway.url, client_id="publisher") as publisher,
        reader_of(gateway.url, 3) as reader,
    ):
        for _ in range(4):
            await publisher.publish(STREAM, np.zeros(24 * MIB, np.uint8), kind="collaboration")
        assert await reader.outcome() == Outcome(4, 0)


async def test_tasks_that_are_published_at_once_wait_for_a_receiver_that_is_idle() -> None:
    async with (
        running_gateway(acknowledged(4 * MIB)) as gateway,
        connect(gateway.url, client_id="publisher") as publisher,
        reader_of(gateway.url, 23) as reader,
    ):
        task = np.random.default_rng(0).integers(0, 256, 2 * MIB, np.uint8)
        await asyncio.gather(*[publisher.publish(STREAM, task, kind="collaboration") for _ in range(24)])
        assert await reader.outcome() == Outcome(24, 0)
