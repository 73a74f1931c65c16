"""A session without a connection: its state is as the test sets it, and it keeps what is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.client.session.gateway_clock import GatewayClock
from gateway.client.session.session import Session
from gateway.errors import ConnectionFailed
from gateway.protocol.messages import Welcome
from gateway.protocol.wire import Buffer


class FakeSession(Session):
    """A session that keeps what is sent, in one buffer."""

    def __init__(self, greeting: Welcome, *, draining: bool = False) -> None:
        self.draining = draining
        self.is_congested = False
        self.is_open = True
        self.clock = GatewayClock(lambda: 0, lambda: 0)
        self.now_ns = lambda: 0
        self.chunk_bytes = self.frame_bytes = greeting.limits.chunk_bytes
        self.greeting = greeting
        self.sent = bytearray()

    @property
    def welcome(self) -> Welcome:
        return self.greeting

    @property
    def open(self) -> bool:
        return self.is_open

    def congested(self) -> bool:
        return self.is_congested

    async def drained(self) -> None:
        while self.is_open and self.is_congested:  # noqa: ASYNC110 - turn by turn, as all else
            await asyncio.sleep(0)
        if not self.is_open:
            raise ConnectionFailed("the connection was lost")

    def send(self, buffers: Sequence[Buffer], *, may_wait: bool = False) -> int:
        size = len(self.sent)
        for buffer in buffers:
            self.sent += buffer
        return len(self.sent) - size

    def cork(self) -> None: ...

    def uncork(self) -> None: ...

    def collect(self) -> None: ...
