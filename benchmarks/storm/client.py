"""Client of a crowd: says HELLO, subscribes, and connects again by the rules of ``spec/client.md`` section 3."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import Final, cast

from benchmarks.slow.frames import control, split, subscribe, websocket
from benchmarks.slow.raw_client import handshake
from gateway.client.options import Backoff
from gateway.client.pauses import pause_s
from gateway.errors import Action
from gateway.protocol.frames import iter_frames
from gateway.protocol.wire import SUBPROTOCOL_BINARY, Opcode

STREAM: Final = "storm/field"
BACKOFF: Final = Backoff()
ATTEMPT_S: Final = 10.0
"""Longest time of an attempt; an SDK has ``connect_timeout_s``."""

_RETRY_AFTER_MS: Final = re.compile(rb"\r\nRetry-After-Ms: (\d+)\r\n")
_REQUEST: Final = handshake(SUBPROTOCOL_BINARY).replace(b"GET / ", b"GET /?client_type=agent ")
_NO_LINGER: Final = struct.pack("ii", 1, 0)
"""Option by which the end of a socket is a reset, as that of a link or a machine that is gone."""


class StormClient(asyncio.Protocol):
    """One client.

    Args:
        number: makes its name.
        port: the gateway's.
        welcomed: called when it is subscribed.
        counts: attempts, refusals and losses of all clients.
    """

    def __init__(self, number: int, port: int, welcomed: Callable[[], None], counts: Counter[str]) -> None:
        self._port = port
        self._welcomed = welcomed
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        hello = control(
            Opcode.HELLO, versions=[1], client_type="agent", client_id=f"storm-{number}", instance=number, codecs=[]
        )
        self._greeting = websocket(hello) + websocket(subscribe(1, STREAM))
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._attempts = 0
        self._is_open = False
        self._is_there = False
        self._retry_after_s: float | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connect(self) -> None:
        """Begin an attempt."""
        self._loop.create_task(self._attempt())

    def cut(self) -> None:
        """Lose the connection as if the link were gone."""
        if self._transport is not None:
            tcp: socket.socket = self._transport.get_extra_info("socket")
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()

    async def _attempt(self) -> None:
        self._counts["attempts"] += 1
        try:
            await self._loop.create_connection(lambda: self, "127.0.0.1", self._port)
        except OSError:
            self._again()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self._transport = cast(asyncio.Transport, transport)
        self._received.clear()
        self._is_open = self._is_there = False
        self._retry_after_s = None
        self._deadline = self._loop.call_later(ATTEMPT_S, self._transport.abort)
        self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        """Read what comes before the subscription stands, and drop the rest."""
        if self._is_there:
            return
        self._received += data
        if not self._is_open and b"\r\n\r\n" in self._received:
            self._head_received()
        if self._is_open and any(opcode == Opcode.SUBSCRIBED for opcode in self._opcodes()):
            self._is_there = True
            self._attempts = 0
            self._received.clear()
            assert self._deadline is not None
            self._deadline.cancel()
            self._welcomed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Come back after a pause."""
        self._transport = None
        if self._deadline is not None:
            self._deadline.cancel()
        self._counts["lost" if self._is_there else "refused" if self._retry_after_s is not None else "failed"] += 1
        self._again()

    def _again(self) -> None:
        wait_s = pause_s(BACKOFF, Action.RECONNECT, self._attempts, random.random, self._retry_after_s)
        self._attempts += 1
        self._retry_after_s = None
        self._loop.call_later(wait_s, self.connect)

    def _head_received(self) -> None:
        assert self._transport is not None
        if self._received.startswith(b"HTTP/1.1 101 "):
            del self._received[: self._received.index(b"\r\n\r\n") + 4]
            self._is_open = True
            self._transport.write(self._greeting)
            return
        named = _RETRY_AFTER_MS.search(self._received)
        self._retry_after_s = None if named is None else int(named[1]) / 1000
        self._transport.abort()

    def _opcodes(self) -> list[int]:
        """Return the opcodes of the frames in the binary messages that have come so far."""
        messages = [memoryview(data) for opcode, data in split(self._received) if opcode == 2]
        return [frame.opcode for message in messages for frame in iter_frames(message)]
