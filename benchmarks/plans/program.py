"""Programs of clients: publish, receive, ask, or work; several in one process, which is behind one link."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import uvloop

from benchmarks.plans.scene import Ask, Program, Publish, Receive, Work, programs_from_json
from gateway.client import Client, Message, connect
from gateway.errors import FrysError

STAMP_BYTES: Final = 16
"""Time of publishing, and number of the message, at the front of each payload."""
LINGER_S: Final = 4.0
"""Time behind the last message in which receivers wait for what is on its way."""


@dataclass
class Aging:
    """Age of the newest version of one state that one receiver has, over time."""

    stamp_s: float = 0.0
    since_s: float = 0.0
    area: float = 0.0
    seconds: float = 0.0
    number: int = -1

    def arrived(self, stamp_s: float, number: int, now_s: float, measured_from_s: float, until_s: float) -> None:
        """Add the age since the last arrival."""
        self.pass_to(min(now_s, until_s), measured_from_s)
        self.stamp_s, self.since_s, self.number = stamp_s, now_s, number

    def pass_to(self, now_s: float, measured_from_s: float) -> None:
        """Let time pass."""
        begin_s = max(self.since_s, measured_from_s)
        if self.stamp_s and now_s > begin_s:
            self.area += (now_s - begin_s) * ((begin_s + now_s) / 2 - self.stamp_s)
            self.seconds += now_s - begin_s

    @property
    def mean_s(self) -> float:
        """Mean age so far."""
        return self.area / max(self.seconds, 1e-9)


@dataclass
class Results:
    """Measurements of one process."""

    ages_s: dict[str, float] = field(default_factory=dict)
    """Mean age by receiver and stream."""
    own_ages_s: dict[str, float] = field(default_factory=dict)
    """Mean age of the newest version at its publisher, by stream: no receiver has a younger one."""
    last_versions: dict[str, int] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    """Of events, from publish to receive; of requests, to the reply."""
    received: dict[str, int] = field(default_factory=dict)
    """Number of the last event, by receiver and stream; all from the first one on have come, in order."""
    published: dict[str, int] = field(default_factory=dict)
    """Messages by stream."""
    faults: list[str] = field(default_factory=list)


class Run:
    """Clock and results of one process."""

    def __init__(self, url: str, begin_s: float, measured_from_s: float, until_s: float) -> None:
        self.url = url
        self.begin_s = begin_s
        self.measured_from_s = measured_from_s
        self.until_s = until_s
        self.results = Results()

    def rate_hz(self, program: Publish | Ask, now_s: float) -> float:
        """Return the rate of a program: there is a burst in the middle of the measurement."""
        part = (now_s - self.measured_from_s) / (self.until_s - self.measured_from_s)
        return program.burst_hz if program.burst_hz and 0.4 < part < 0.5 else program.rate_hz

    async def begin(self) -> None:
        """Wait for the begin of all processes."""
        await asyncio.sleep(max(0.0, self.begin_s - time.time()))


NOISE: Final = np.random.default_rng(12).integers(0, 256, 1 << 20, np.uint8)
"""Random bytes, which do not compress."""


def stamped(size: int, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a payload that looks like none before, with the time and a number in front."""
    size = max(size, STAMP_BYTES)
    begin = number * 7919 % (len(NOISE) - size)
    copy = NOISE[begin : begin + size].copy()
    copy[:STAMP_BYTES].view(np.int64)[:] = (time.time_ns(), number)
    return copy


def stamp_of(message: Message) -> tuple[float, int]:
    """Return the time at which a message was published, and its number."""
    stamp_ns, number = np.asarray(message.tensor)[:STAMP_BYTES].view(np.int64)
    return stamp_ns / 1e9, int(number)


async def publish(run: Run, program: Publish) -> None:
    """Publish at a rate that does not depend on what becomes of the messages, with a burst in the middle."""
    async with connect(run.url, client_id=program.name) as client:
        await run.begin()
        count, due_s, own = 0, time.time() + program.offset_s, Aging()
        while due_s < run.until_s:
            await asyncio.sleep(max(0.0, due_s - time.time()))
            client.publish_nowait(program.stream, stamped(program.size_bytes, count), kind=program.kind)
            own.arrived(time.time(), count, time.time(), run.measured_from_s, run.until_s)
            count += 1
            due_s += 1 / run.rate_hz(program, due_s)
        own.pass_to(run.until_s, run.measured_from_s)
        run.results.own_ages_s[program.stream] = own.mean_s
        run.results.published[program.stream] = run.results.published.get(program.stream, 0) + count
        await asyncio.sleep(LINGER_S)


async def receive(run: Run, program: Receive) -> None:
    """Take the age of states, and the latencies of events."""
    async with connect(run.url, client_id=program.name) as client:
        taken = [take(run, program, client, pattern) for pattern in program.patterns]
        await asyncio.gather(*taken)


async def take(run: Run, program: Receive, client: Client, pattern: str) -> None:
    """Receive one pattern until all is over."""
    ages: dict[str, Aging] = defaultdict(Aging)
    latencies: list[float] = []
    numbers: dict[tuple[str, str], int] = {}
    async with client.subscribe(pattern) as messages:
        messages_of = messages.__aiter__()
        while (left_s := run.until_s + LINGER_S - time.time()) > 0:
            try:
                message = await asyncio.wait_for(messages_of.__anext__(), left_s)
            except TimeoutError:
                break
            now_s = time.time()
            stamp_s, number = stamp_of(message)
            if message.kind == "state":
                ages[message.stream].arrived(stamp_s, number, now_s, run.measured_from_s, run.until_s)
                continue
            sender = message.stream, str(message.publisher)
            if number != numbers.get(sender, number - 1) + 1:
                run.results.faults.append(f"{program.name}: {message.stream} {number} behind {numbers[sender]}")
            numbers[sender] = number
            if run.measured_from_s <= stamp_s < run.until_s:
                latencies.append((now_s - stamp_s) * 1e3)
            if program.work_s:
                await asyncio.sleep(program.work_s)
    for stream, aging in ages.items():
        aging.pass_to(run.until_s, run.measured_from_s)
        run.results.ages_s[f"{program.name} {stream}"] = aging.mean_s
        run.results.last_versions[f"{program.name} {stream}"] = aging.number
    for (stream, _), number in numbers.items():
        run.results.received[f"{program.name} {stream}"] = number
    run.results.latencies_ms += latencies


async def ask(run: Run, program: Ask) -> None:
    """Ask at a rate that does not depend on the replies."""
    waiting: set[asyncio.Task[None]] = set()
    counts = {"asked": 0, "answered": 0}

    async def one(client: Client) -> None:
        begin_s = time.time()
        counts["asked"] += 1
        try:
            await client.request(program.address, stamped(program.size_bytes, counts["asked"]), timeout_s=30)
        except FrysError as error:
            run.results.faults.append(f"{program.name}: {error}")
            return
        counts["answered"] += 1
        if begin_s >= run.measured_from_s:
            run.results.latencies_ms.append((time.time() - begin_s) * 1e3)

    async with connect(run.url, client_id=program.name) as client:
        await run.begin()
        await asyncio.sleep(1.0)  # until the workers are there
        due_s = time.time()
        while due_s < run.until_s:
            await asyncio.sleep(max(0.0, due_s - time.time()))
            task = asyncio.create_task(one(client))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            due_s += 1 / run.rate_hz(program, due_s)
        await asyncio.gather(*waiting)
    if counts["asked"] != counts["answered"]:
        run.results.faults.append(f"{program.name}: {counts}")


async def work(run: Run, program: Work) -> None:
    """Answer requests of a group, one after the other."""
    data = stamped(program.reply_bytes, 0)
    async with connect(run.url, client_id=program.name) as client, client.inbox(group=program.group) as requests:
        requests_of = requests.__aiter__()
        while (left_s := run.until_s + LINGER_S - time.time()) > 0:
            try:
                request = await asyncio.wait_for(requests_of.__anext__(), left_s)
            except TimeoutError:
                break
            await asyncio.sleep(program.service_s)
            await request.reply(data)


async def play(run: Run, programs: list[Program]) -> None:
    """Run all programs of this process."""
    plays = {Publish: publish, Receive: receive, Ask: ask, Work: work}
    await asyncio.gather(*[plays[type(program)](run, program) for program in programs])  # type: ignore[operator]


def main() -> None:
    """Read the task from the standard input, and write the results to the standard output."""
    task = json.load(sys.stdin)
    run = Run(task["url"], task["begin_s"], task["measured_from_s"], task["until_s"])
    uvloop.run(play(run, programs_from_json(task["programs"])))
    json.dump(run.results.__dict__, sys.stdout)


if __name__ == "__main__":
    main()
