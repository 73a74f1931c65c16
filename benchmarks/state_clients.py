"""Publisher and subscribers of ``state.py``, programs of two processes."""

from __future__ import annotations

import asyncio
import struct
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.processes import VerificationFailed
from benchmarks.sdk_clients import Plan, Results, run_client, wait_for
from gateway.client import Subscription, connect
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.messages import ClientType, Hello, Subscribe
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Pong
from gateway.protocol.wire import FLAG_CHUNKED, FRAME_START, PING_FRAME, SUBPROTOCOL_BINARY, Opcode, padded

SHAPE: Final = (1000, 1000)
SHARE: Final = 100
"""One of so many elements changes from version to version."""
WARM_UP: Final = 30
"""Versions before the measurement: the gateway takes its samples, and every subscriber gets a keyframe."""
VERIFIERS: Final = 2
"""Subscribers through the SDK, which compare every version bit for bit; the others count."""

_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: %b\r\n\r\n" % SUBPROTOCOL_BINARY.encode()
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Scenario: ``versions`` versions, ``rate`` a second, whose elements change at ``random`` places or in a block."""

    plan: Plan
    random: bool
    rate: float
    versions: int
    subscribers: int


class Field:
    """State that changes; every process that makes one of the same scene gets the same versions."""

    def __init__(self, *, random: bool) -> None:
        self._rng = np.random.default_rng(7)
        self._random = random
        self.state: npt.NDArray[np.float32] = self._rng.normal(size=SHAPE).astype(np.float32)
        self.number = 0

    def step(self) -> None:
        """Change the state to the next version."""
        self.number += 1
        count = self.state.size // SHARE
        if self._random:
            places: Any = self._rng.integers(0, self.state.size, count)  # a few of them twice
        else:
            start = int(self._rng.integers(0, self.state.size - count))
            places = slice(start, start + count)
        self.state.flat[places] = self._rng.normal(size=count).astype(np.float32)


def publish(scene: Scene, core: int, subscribed: Event, begin: Event, over: Event, results: Results, pid: int) -> None:
    """Publish at the rate of the scene, and report the CPU time of the gateway."""
    run_client(core, _publish(scene, subscribed, begin, over, results, psutil.Process(pid)))


async def _publish(
    scene: Scene, subscribed: Event, begin: Event, over: Event, results: Results, server: psutil.Process
) -> None:
    field = Field(random=scene.random)
    async with connect(scene.plan.url, client_type="agent", client_id="publisher") as client:
        await wait_for(subscribed)

        async def publish(count: int) -> float:
            start_s = time.monotonic()
            for number in range(count):
                await asyncio.sleep(max(0.0, start_s + number / scene.rate - time.monotonic()))
                await client.publish(scene.plan.stream, field.state, kind="state")
                field.step()
            return time.monotonic() - start_s

        await publish(WARM_UP)
        await asyncio.sleep(1)  # versions still being sent are not counted
        before = server.cpu_times()
        begin.set()
        seconds = await publish(scene.versions)
        over.set()
        await asyncio.sleep(0.5)
        after = server.cpu_times()
    busy_s = after.user + after.system - before.user - before.system
    results.put({"publish_s": seconds, "per_second": scene.versions / seconds, "server_cpu": busy_s / seconds})


def subscribe(scene: Scene, core: int, subscribed: Event, begin: Event, over: Event, results: Results) -> None:
    """Run all subscribers: some verify versions, the others count bytes and versions."""
    run_client(core, _subscribe(scene, subscribed, begin, over, results))


async def _subscribe(scene: Scene, subscribed: Event, begin: Event, over: Event, results: Results) -> None:
    loop = asyncio.get_running_loop()
    port = int(scene.plan.url.rpartition(":")[2])
    counters = [Counter(scene.plan.stream) for _ in range(scene.subscribers - VERIFIERS)]
    for counter in counters:
        await loop.create_connection(lambda counter=counter: counter, "127.0.0.1", port)  # type: ignore[misc]
    last = WARM_UP + scene.versions - 1
    clients = [await connect(scene.plan.url, client_id=f"verifier-{number}") for number in range(VERIFIERS)]
    subscriptions = [client.subscribe(scene.plan.stream, conflate=False) for client in clients]
    for subscription in subscriptions:
        await subscription.start()
    verifying = [asyncio.create_task(verify(subscription, scene, last)) for subscription in subscriptions]
    await asyncio.gather(*[counter.welcomed for counter in counters])
    subscribed.set()
    await wait_for(begin)
    before = [(counter.bytes, counter.versions) for counter in counters]
    await wait_for(over)
    verified = await asyncio.gather(*verifying)
    await asyncio.gather(*[counter.wait_for(last) for counter in counters])
    received = [counter.bytes - bytes for counter, (bytes, _) in zip(counters, before, strict=True)]
    versions = [counter.versions - count for counter, (_, count) in zip(counters, before, strict=True)]
    for client in clients:
        await client.close()
    whole = scene.versions * 4 * np.prod(SHAPE)
    results.put(
        {
            "bytes_share": float(sum(received) / len(received) / whole),
            "versions_share": sum(versions) / len(versions) / scene.versions,
            "verified": float(sum(verified)),
        }
    )


async def verify(subscription: Subscription, scene: Scene, last: int) -> int:
    """Compare every received version with the published one, up to version ``last``; return their number."""
    field = Field(random=scene.random)
    count = 0
    async for message in subscription:
        while field.number < message.offset:
            field.step()
        if not np.array_equal(message.tensor, field.state):
            raise VerificationFailed(f"version {message.offset} is not what was published")
        count += 1
        if message.offset == last:
            break
    if subscription.stats.failed or count + subscription.stats.conflated <= scene.versions:
        raise VerificationFailed(f"{count} versions, {subscription.stats}")
    return count


class Counter(asyncio.Protocol):
    """Subscriber that counts bytes from the socket and versions in them. It answers PINGs, and decodes nothing.

    Attributes:
        bytes: bytes received, with all framing.
        versions: versions received completely.
        newest: offset of the last of them.
        welcomed: done when the gateway has answered SUBSCRIBED.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._received = bytearray()
        self._upgraded = False
        self._transport: asyncio.Transport | None = None
        self.bytes = 0
        self.versions = 0
        self.newest = -1
        self._changed = asyncio.Event()
        self.welcomed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait_for(self, offset: int) -> None:
        """Wait until version ``offset`` or a later one has come."""
        while self.newest < offset:
            self._changed.clear()
            await self._changed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.write(_UPGRADE)

    def data_received(self, data: bytes) -> None:
        """Count bytes and versions."""
        self.bytes += len(data)
        self._received += data
        if not self._upgraded:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            del self._received[: end + 4]
            self._upgraded = True
            hello = Hello((1,), ClientType.AGENT, None, codecs=tuple(CODEC_NAMES), filters=tuple(FILTER_NAMES))
            self._send(write_session(hello) + write_session(Subscribe(1, 1, self._stream)))
        at = 0
        while (size := self._message_at(at)) > 0:
            at += size
        del self._received[:at]

    def _message_at(self, at: int) -> int:
        """Take the WebSocket message at ``at``; return its size, 0 if it is incomplete."""
        received = self._received
        if len(received) < at + 10:
            return 0
        size, start = received[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(received[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(received[at + 2 : at + 10], "big"), at + 10
        end = start + size
        if len(received) < end:
            return 0
        while start < end:
            frame_bytes, opcode, flags, _ = FRAME_START.unpack_from(received, start)
            if opcode == Opcode.END or (opcode == Opcode.MESSAGE and not flags & FLAG_CHUNKED):
                self.versions += 1
                (self.newest,) = struct.unpack_from("<Q", received, start + 16)
                self._changed.set()
            elif opcode == Opcode.PING:
                t0 = PING_FRAME.unpack_from(received, start)[-1]
                self._send(Pong(t0, time.time_ns(), time.time_ns()).write())
            elif opcode == Opcode.SUBSCRIBED:
                self.welcomed.set_result(None)
            start += padded(frame_bytes)
        return end - at

    def _send(self, frames: bytes) -> None:
        """Send a WebSocket message, masked with zeros."""
        assert self._transport is not None
        length = bytes([0x80 | len(frames)]) if len(frames) < 126 else b"\xfe" + len(frames).to_bytes(2, "big")
        self._transport.write(b"\x82" + length + bytes(4) + frames)
