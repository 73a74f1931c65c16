"""Wires a gateway: the one place that knows every part."""

from __future__ import annotations

import asyncio

from gateway.config import Settings
from gateway.connections.core import Core
from gateway.connections.ports import AllowAll
from gateway.connections.sampled_policy import SampledPolicy
from gateway.server.listener import Listener
from gateway.server.loop import LoopClock, ThreadWorkers


class Gateway:
    """A gateway in this process.

    Args:
        settings: what it is told.

    Attributes:
        core: connections and streams.
        port: where WebSockets are accepted, once started.
    """

    def __init__(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self._workers = ThreadWorkers(loop, settings.worker_threads)
        self.core = Core(settings.core, LoopClock(loop), self._workers, SampledPolicy(self._workers), AllowAll())
        self._listener = Listener(self.core)
        self.port = 0

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{self.settings.host}:{self.port}"

    async def start(self) -> None:
        """Accept connections.

        Raises:
            OSError: an address cannot be bound.
        """
        self.port = await self._listener.start(self.settings.host, self.settings.port)

    async def stop(self, reason: str = "the gateway is stopping") -> None:
        """Stop in good order: go-away, drain, close."""
        await self._listener.stop(reason, self.settings.drain_deadline_s)
        self._workers.close()
