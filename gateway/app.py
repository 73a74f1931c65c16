"""Wires a gateway: the one place that knows every part."""

from __future__ import annotations

import asyncio

from gateway.admin.port import AdminPort
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
        self._admin: AdminPort | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://{self.settings.host}:{self.port}"

    @property
    def admin_port(self) -> int | None:
        """Where the admin HTTP API is, once started; ``None``: there is none."""
        return None if self._admin is None else self._admin.port

    @property
    def admin_url(self) -> str | None:
        """Where the admin HTTP API is, once started; ``None``: there is none."""
        return None if self._admin is None else self._admin.url

    async def start(self) -> None:
        """Accept connections.

        Raises:
            OSError: an address cannot be bound.
        """
        if self.settings.admin_port is not None:
            self._admin = await AdminPort.bind(self.settings.host, self.settings.admin_port)
        try:
            self.port = await self._listener.start(self.settings.host, self.settings.port)
        except OSError:
            await self._stop_admin()
            raise
        if self._admin is not None:
            self._admin.start(self.core)

    async def stop(self, reason: str = "the gateway is stopping") -> None:
        """Stop in good order: go-away, drain, close."""
        await self._listener.stop(reason, self.settings.drain_deadline_s)
        # Last, so that its /readyz says all the while that the gateway is stopping.
        await self._stop_admin()
        self._workers.close()

    async def _stop_admin(self) -> None:
        if self._admin is not None:
            await self._admin.stop()
