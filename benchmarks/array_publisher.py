"""Publisher of ``arrays.py``, the program of a process that carries out one plan after the other."""

from __future__ import annotations

import asyncio
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Final

import uvloop

from benchmarks.array_clients import (
    BEGIN,
    END,
    ENDED,
    STARTED,
    ArrayPlan,
    AsyncClient,
    BlockingClient,
    Progress,
    cpu_ns,
)
from benchmarks.processes import bind_to
from benchmarks.stamped_arrays import SMALLEST_BYTES, Array, StampedArrays

LEAD_BYTES: Final = 32 << 20
"""Bytes that the publisher may be ahead of the subscriber, so that no server has a reason to drop a message."""
LEAST: Final = 2
"""Messages that are measured at least, however long they take."""
WARM_UP: Final = 0.25
"""Length of the warm-up, as a share of the measured time."""
LEAST_WARM_UP: Final = 2
"""Messages of the warm-up at least: a program holds the last array while the next one comes, and new memory for a large
one may take the system several times as long as the rest."""
PATIENCE_S: Final = 60.0


class _Course:
    """Messages of a plan, in order: which array each sends, when the publisher has to wait, and when it is over."""

    def __init__(self, plan: ArrayPlan, progress: Progress) -> None:
        self._plan = plan
        self._progress = progress
        self._arrays = StampedArrays(plan.size, 2 * plan.window)
        self._marks = StampedArrays(SMALLEST_BYTES, 1)
        self._lead = max(plan.window, LEAD_BYTES // plan.size)
        self._next = list(range(plan.series))
        self._least: list[int] = []
        self._until_s = 0.0

    def begin(self, seconds: float, least: int) -> None:
        """Begin a part of the course."""
        self._until_s = time.monotonic() + seconds
        self._least = [number + least for number in self._next]

    def is_over(self, lane: int) -> bool:
        """Return whether a lane has come to the end of this part."""
        series = lane % self._plan.series
        return time.monotonic() >= self._until_s and self._next[series] >= self._least[series]

    def must_wait(self) -> bool:
        """Return whether the subscriber has to catch up first."""
        return not self._plan.conflated and self.published - self._progress.received.value >= self._lead

    def array(self, lane: int, turn: int) -> Array:
        """Return the array of the lane's next message. Each lane has two, of which one is under way."""
        series = lane % self._plan.series
        number = self._next[series]
        self._next[series] = number + self._plan.series
        return self._arrays.stamp(2 * lane + turn, number, time.monotonic_ns())

    def mark(self, number: int) -> Array:
        """Return the array that begins or ends the measurement, with the count of messages before it."""
        return self._marks.stamp(0, number, self.published)

    @property
    def published(self) -> int:
        """Count of all messages so far."""
        step = self._plan.series
        return sum((number - series) // step for series, number in enumerate(self._next))

    def is_in(self, phase: int) -> bool:
        """Return whether the subscriber has come to ``phase``."""
        return self._progress.phase.value == phase


class _PublisherClock:
    """Readings of a publisher's measurement: time, messages, CPU of its own process and of the server."""

    def __init__(self, course: _Course, server_pid: int) -> None:
        self._course = course
        self._published = course.published
        self._server_ns = cpu_ns(server_pid)
        self._own_ns = time.process_time_ns()
        self._begin_ns = time.monotonic_ns()

    def stop(self) -> dict[str, float]:
        """Return the readings; all messages are acknowledged."""
        return {
            "acknowledged_ns": time.monotonic_ns(),
            "publisher_ns": time.process_time_ns() - self._own_ns,
            "begin_ns": self._begin_ns,
            "server_begin_ns": self._server_ns,
            "acknowledged": self._course.published - self._published,
        }


async def _publish(client: AsyncClient, plan: ArrayPlan, course: _Course, server_pid: int) -> dict[str, float]:
    async def wait_for(phase: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not course.is_in(phase):  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.001)

    async with client.publishing(plan) as publish:

        async def lane(number: int) -> None:
            for turn in itertools.cycle((0, 1)):
                while course.must_wait():  # noqa: ASYNC110 - another process tells how far it is
                    await asyncio.sleep(0.001)
                if course.is_over(number):
                    return
                await publish(course.array(number, turn))

        async def run(seconds: float, least: int) -> None:
            course.begin(seconds, least)
            async with asyncio.TaskGroup() as lanes:
                for number in range(plan.window):
                    lanes.create_task(lane(number))

        await run(WARM_UP * plan.seconds, LEAST_WARM_UP)
        await publish(course.mark(BEGIN))
        await wait_for(STARTED)
        clock = _PublisherClock(course, server_pid)
        await run(plan.seconds, LEAST)
        readings = clock.stop()
        await publish(course.mark(END))
        await wait_for(ENDED)
    return readings


def _publish_blocking(client: BlockingClient, plan: ArrayPlan, course: _Course, server_pid: int) -> dict[str, float]:
    def wait_for(phase: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not course.is_in(phase):
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.001)

    with client.publishing(plan) as publish, ThreadPoolExecutor(plan.window) as threads:

        def lane(number: int) -> None:
            for turn in itertools.cycle((0, 1)):
                while course.must_wait():
                    time.sleep(0.001)
                if course.is_over(number):
                    return
                publish(course.array(number, turn))

        def run(seconds: float, least: int) -> None:
            course.begin(seconds, least)
            if plan.window == 1:
                lane(0)
            else:
                list(threads.map(lane, range(plan.window)))

        run(WARM_UP * plan.seconds, LEAST_WARM_UP)
        publish(course.mark(BEGIN))
        wait_for(STARTED)
        clock = _PublisherClock(course, server_pid)
        run(plan.seconds, LEAST)
        readings = clock.stop()
        publish(course.mark(END))
        wait_for(ENDED)
    return readings


def run_publisher(
    client: AsyncClient | BlockingClient, core: int, server_pid: int, progress: Progress, commands: Connection
) -> None:
    """Publish each plan that comes through ``commands``, and answer with the readings, until killed."""
    bind_to(core)
    while True:
        plan: ArrayPlan = commands.recv()
        course = _Course(plan, progress)
        if isinstance(client, AsyncClient):
            readings = uvloop.run(_publish(client, plan, course, server_pid))
        else:
            readings = _publish_blocking(client, plan, course, server_pid)
        commands.send(readings)
