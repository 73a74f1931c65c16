"""Load: publishers, and dashboards that keep up or do not, in one process and thread."""

from __future__ import annotations

import math
import selectors
import socket
import time
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from benchmarks.overload.plan import Flood, Load, Taken
from benchmarks.slow.frames import message, open_stream, subscribe, websocket
from benchmarks.slow.raw_client import RECEIVE_BYTES, RawClient
from benchmarks.slow.stage import OTHERS_CORE, idle_only
from gateway.protocol.frames import iter_frames
from gateway.protocol.wire import Opcode

SLOW_BUFFER_BYTES: Final = 8192
AHEAD_BYTES: Final = 256 * 1024
"""Bytes that a publisher may have in hand that its socket does not take."""
SLOW_TICK_S: Final = 0.05


class Publisher:
    """Publisher of an event stream and a state."""

    def __init__(self, port: int, number: int, load: Load) -> None:
        self.client = RawClient(port, client_id=f"publisher-{number}")
        self.client.send(open_stream(0, f"event/{number}", "event"), open_stream(1, f"state/{number}", "state"))
        self.client.settle()
        random = np.random.default_rng(number)  # incompressible
        self._payloads = random.bytes(load.event_bytes), random.bytes(load.state_bytes)
        self._sequence = 0
        self._left = memoryview(b"")
        self.client.socket.setblocking(False)

    def publish(self) -> None:
        """Put the next pair behind what the socket has not taken."""
        self._sequence += 1
        event, state = self._payloads
        pair = message(0, self._sequence, event) + message(1, self._sequence, state)
        self._left = memoryview(websocket(pair))

    def flush(self) -> bool:
        """Return whether the socket has taken all."""
        try:
            while self._left:
                self._left = self._left[self.client.socket.send(self._left) :]
        except BlockingIOError:
            return False
        return True


class LoadClients:
    """Publishers and dashboards of one gateway."""

    def __init__(self, port: int, load: Load) -> None:
        self._load = load
        self._port = port
        self._publishers = [Publisher(port, number, load) for number in range(load.streams)]
        self._selector = selectors.DefaultSelector()
        for number in range(load.dashboards):
            self._read(self._dashboard("state/*", number, None))
        for publisher in self._publishers:
            self._selector.register(publisher.client.socket, selectors.EVENT_READ, publisher)
        self._slow: list[RawClient] = []
        self._buffer = bytearray(RECEIVE_BYTES)
        self._closed = self._refused = 0

    def play(self, flood: Flood) -> Taken:
        """Publish for some time."""
        if flood.slow and not self._slow:
            load = self._load
            for number in range(load.slow_dashboards):
                pattern = f"*/{number % load.streams}"
                self._slow.append(self._dashboard(pattern, f"slow-{number}", SLOW_BUFFER_BYTES))
        begin_s = now_s = time.monotonic()
        end_s, slow_s = begin_s + flood.seconds, begin_s
        self._closed = self._refused = 0
        offered = taken = 0
        while now_s < end_s:
            due = math.inf if math.isinf(flood.per_second) else (now_s - begin_s) * flood.per_second
            taken += self._publish(due, taken)
            offered = taken if math.isinf(due) else int(due)
            self._select(0.0 if due > taken else 0.001)
            now_s = time.monotonic()
            if now_s - slow_s >= SLOW_TICK_S:
                self._read_slowly(now_s - slow_s)
                slow_s = now_s
        return Taken(now_s - begin_s, offered, taken, self._closed, self._refused)

    def _publish(self, due: float, taken: int) -> int:
        """Have each publisher whose socket takes more publish a pair; return how many have."""
        count = 0
        for publisher in self._publishers:
            if taken + count >= due:
                break
            if publisher.flush():
                publisher.publish()
                publisher.flush()
                count += 1
        return count

    def _select(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, Publisher):
                self._hear(key.data)
            else:
                self._drop(key.fileobj)

    def _drop(self, reader: object) -> None:
        assert isinstance(reader, socket.socket)
        try:
            size = reader.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._closed += 1
            self._selector.unregister(reader)
            reader.close()

    def _hear(self, publisher: Publisher) -> None:
        client = publisher.client
        try:
            client.receive()
            frames = [frame for data in client.messages() for frame in iter_frames(memoryview(data))]
        except BlockingIOError:
            return
        except OSError:
            self._selector.unregister(client.socket)
            return
        self._refused += sum(frame.opcode == Opcode.ERROR for frame in frames)

    def _read_slowly(self, seconds: float) -> None:
        size = int(self._load.slow_bytes_per_s * seconds)
        for reader in list(self._slow):
            try:
                left = size
                while left > 0 and (got := len(reader.socket.recv(left))):
                    left -= got
                if left > 0:
                    raise ConnectionResetError
            except BlockingIOError:
                continue
            except OSError:
                self._closed += 1
                self._slow.remove(reader)
                reader.close()

    def _dashboard(self, pattern: str, number: object, receive_bytes: int | None) -> RawClient:
        client = RawClient(
            self._port, receive_bytes=receive_bytes, client_type="extension", client_id=f"dashboard-{number}"
        )
        client.send(subscribe(1, pattern))
        client.wait_for(Opcode.SUBSCRIBED)
        client.socket.setblocking(False)
        return client

    def _read(self, client: RawClient) -> None:
        self._selector.register(client.socket, selectors.EVENT_READ, client)


def run_load(port: int, load: Load, commands: Connection) -> None:
    """Run the program of the process: play each :class:`~benchmarks.overload.plan.Flood`; ``None`` ends it."""
    idle_only(OTHERS_CORE)
    clients = LoadClients(port, load)
    commands.send(None)
    while (flood := commands.recv()) is not None:
        commands.send(clients.play(flood))
