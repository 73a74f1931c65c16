"""Publisher and fast reader: SDK clients in one process, so that one clock times the messages between them."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.processes import VerificationFailed
from benchmarks.sdk_clients import run_client
from benchmarks.slow_readers.plan import PROBE_BYTES, PROBE_HZ, Group
from gateway.client import Client, Subscription, connect
from gateway.errors import CapacityError, FrysError

WORKFLOW: Final = "slow"
BULK: Final = f"{WORKFLOW}/bulk"
PROBE: Final = f"{WORKFLOW}/probe"
NOWAIT_BYTES: Final = 64 * 1024
"""Size above which messages are published one after the other, each acknowledged."""
DIFFERENT_BYTES: Final = 4 * 1024 * 1024
"""Bytes of different small messages, before the first one is repeated."""
WINDOW_BYTES: Final = 512 * 1024
"""Bytes that a flood may be ahead of the fast reader (at least one message), so that it does not become slow."""
WINDOW_S: Final = 1.0
GIVE_UP_S: Final = 0.5
"""Time after which the publisher gives a message up that the gateway does not take: it goes on with the next one."""
STUCK: Final = 200
"""Refusals in a row that end a flood: the stream has reached its bound."""
TICK_S: Final = 0.002
SETTLE_S: Final = 20.0
WARM_UP: Final = 0.1
"""Fraction of a round's messages that do not count: buffers are used for the first time, connections wake up."""


class Outcome(NamedTuple):
    """Result of one round."""

    p50_ms: float
    p99_ms: float
    samples: int
    published: int
    """Messages published to the cell's stream."""
    refused: int
    """Messages refused or not acknowledged in time, because the gateway slows the publisher."""


class Flood(NamedTuple):
    """Command: publish ``nbytes`` as fast as the gateway takes them, for at most ``seconds``."""

    nbytes: int
    seconds: float


class Paced(NamedTuple):
    """Command: publish at the group's rate for ``seconds``."""

    seconds: float


def run_traffic(url: str, core: int, group: Group, published_bytes: ctypes.c_uint64, commands: Connection) -> None:
    """Run the program of a process: one round for each :class:`Flood` or :class:`Paced`; ``None`` ends it.

    Args:
        url: URL of the gateway.
        core: core of the process.
        group: kind and size of the messages.
        published_bytes: counter of published bytes, which this process increments.
        commands: pipe for commands and results.
    """
    run_client(core, _run_traffic(url, group, published_bytes, commands))


async def _run_traffic(url: str, group: Group, published_bytes: ctypes.c_uint64, commands: Connection) -> None:
    problems: list[Exception] = []
    async with (
        connect(url, client_type="agent", client_id="publisher", on_error=problems.append) as publisher,
        connect(url, client_type="agent", client_id="fast") as reader,
        reader.subscribe(f"{WORKFLOW}/*", conflate=False) as messages,
    ):
        traffic = _Traffic(publisher, messages, group, published_bytes, problems)
        watching = asyncio.create_task(traffic.watch())
        commands.send(None)
        while (wanted := await asyncio.to_thread(commands.recv)) is not None:
            commands.send(await traffic.play(wanted))
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


class _Traffic:
    """Traffic of one group, in rounds; each message carries the number of its round and the time of its publish."""

    def __init__(
        self,
        publisher: Client,
        messages: Subscription,
        group: Group,
        published_bytes: ctypes.c_uint64,
        problems: list[Exception],
    ) -> None:
        self._publisher = publisher
        self._messages = messages
        self._group = group
        self._published_bytes = published_bytes
        self._problems = problems
        self._round = self._published = self._late = self._newest_bulk = 0
        self._latencies_s: list[float] = []
        self._probe = np.zeros(PROBE_BYTES // 8, np.int64)
        # Random and all different, so that neither codecs nor deltas make the messages smaller.
        shape = max(2, DIFFERENT_BYTES // group.size.message_bytes), group.size.message_bytes // 8
        self._contents = np.random.default_rng(1).integers(0, 2**62, shape, np.int64)
        self._newest_probe = 0
        self._probes = itertools.count(1)

    async def watch(self) -> None:
        """Receive messages as the fast reader."""
        async for message in self._messages:
            if message.stream not in (BULK, PROBE):
                continue  # dead letters, of slow readers that have left
            in_round, sent_ns, number = (int(field) for field in message.tensor[:3])
            if in_round != self._round:
                continue
            if message.nbytes <= NOWAIT_BYTES:
                self._latencies_s.append((time.monotonic_ns() - sent_ns) / 1e9)
            if message.stream == PROBE:
                self._newest_probe = number
            else:
                self._newest_bulk = number

    async def play(self, wanted: Flood | Paced) -> Outcome:
        """Run one round: publish, wait for the last probe, and return the result."""
        self._round += 1
        # Before and after: a message published meanwhile may arrive later, and its number must not look newer.
        self._published = 0
        await self._wait_for_room()
        self._problems.clear()
        self._latencies_s = []
        self._published = self._late = self._newest_bulk = 0
        if isinstance(wanted, Flood):
            await self._flood(wanted)
        else:
            await self._publish_paced(wanted.seconds)
        last = self._send_probe()
        deadline = time.monotonic() + SETTLE_S
        while self._newest_probe < last:
            if time.monotonic() > deadline:
                raise VerificationFailed(f"the fast reader has got probe {self._newest_probe}, not {last}")
            await asyncio.sleep(TICK_S)
        counted = np.array(self._latencies_s[int(len(self._latencies_s) * WARM_UP) :]) * 1e3
        p50, p99 = np.percentile(counted, (50, 99))
        return Outcome(float(p50), float(p99), len(counted), self._published, self._refused)

    @property
    def _refused(self) -> int:
        return self._late + len(self._problems)

    async def _wait_for_room(self) -> None:
        """Wait until the gateway has given up the last round's slow readers, whose messages may fill the stream."""
        end = time.monotonic() + SETTLE_S
        while not await self._publish_acknowledged(SETTLE_S):
            if time.monotonic() > end:
                raise VerificationFailed(f"{BULK} has not taken a message for {SETTLE_S:.0f} s")

    async def _flood(self, flood: Flood) -> None:
        size = self._group.size.message_bytes
        end = time.monotonic() + flood.seconds
        stuck = 0
        while self._published * size < flood.nbytes and (left_s := end - time.monotonic()) > 0 and stuck < STUCK:
            refused, arrived = self._refused, self._newest_bulk
            if size > NOWAIT_BYTES:
                await self._publish_acknowledged(min(left_s, GIVE_UP_S))
            else:
                self._publish_small()
            await self._keep_window(WINDOW_BYTES // size, refused)
            stuck = stuck + 1 if self._refused > refused and self._newest_bulk == arrived else 0
            if stuck:
                await asyncio.sleep(TICK_S)

    async def _keep_window(self, window: int, refused: int) -> None:
        """Wait for the fast reader unless a message was refused, at most :data:`WINDOW_S`: a kind may skip messages."""
        end = time.monotonic() + WINDOW_S
        wanted = self._published - window
        # A poll, because arrivals, refusals and the time have no event in common.
        while self._newest_bulk < wanted and self._refused == refused and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def _publish_paced(self, seconds: float) -> None:
        size = self._group.size
        begin = time.monotonic()
        probes = 0
        large: asyncio.Task[bool] | None = None
        while (elapsed := time.monotonic() - begin) < seconds:
            for _ in range(int(elapsed * PROBE_HZ) - probes):
                probes += 1
                self._send_probe()
            if size.message_bytes <= NOWAIT_BYTES:
                for _ in range(int(elapsed * size.rate_hz) - self._published):
                    self._publish_small()
            elif (large is None or large.done()) and elapsed * size.rate_hz >= self._published:
                large = asyncio.create_task(self._publish_acknowledged(GIVE_UP_S))
            await asyncio.sleep(TICK_S)
        if large is not None:
            await large

    def _publish_small(self) -> None:
        self._send(BULK, self._next_content())

    async def _publish_acknowledged(self, timeout_s: float) -> bool:
        content = self._next_content()
        self._stamp(content)
        try:
            await self._publisher.publish(BULK, content, kind=self._group.kind, codec="none", timeout_s=timeout_s)
        except FrysError:
            self._late += 1
            return False
        return True

    def _next_content(self) -> np.ndarray[Any, Any]:
        self._published += 1
        self._published_bytes.value += self._group.size.message_bytes
        content: np.ndarray[Any, Any] = self._contents[self._published % len(self._contents)]
        content[2] = self._published
        return content

    def _send_probe(self) -> int:
        self._probe[2] = number = next(self._probes)
        self._send(PROBE, self._probe)
        return number

    def _send(self, stream: str, tensor: np.ndarray[Any, Any]) -> None:
        self._stamp(tensor)
        try:
            self._publisher.publish_nowait(stream, tensor, kind=self._group.kind)
        except CapacityError as error:
            self._problems.append(error)

    def _stamp(self, tensor: np.ndarray[Any, Any]) -> None:
        tensor[0], tensor[1] = self._round, time.monotonic_ns()
