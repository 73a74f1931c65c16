"""Wiring of a gateway: the one module that knows every part."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from pathlib import Path
from typing import Final

from gateway.admin.port import AdminPort
from gateway.config import Settings
from gateway.config.address import url_of
from gateway.config.bounds import check_durability, check_settings
from gateway.connections.core import Core
from gateway.connections.ports import Clock, DurableStore
from gateway.errors import InvalidArgument
from gateway.optimizer.sampled_policy import SampledPolicy
from gateway.security.allow_all import AllowAll
from gateway.server.listener import Listener
from gateway.server.loop import LoopClock, ThreadWorkers
from gateway.server.steady_clock import ELAPSED_NS

logger = logging.getLogger(__name__)

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""File of Linux that holds another text after each start of the machine."""


def boot_id() -> str:
    """Return a text that is another after each start of the machine (at each call, where the system has none)."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:
        return str(uuid.uuid4())


class Gateway:
    """Gateway in this process.

    Args:
        settings: its configuration.

    Raises:
        InvalidArgument: streams are configured to outlive the process, but there is no store.
        StoreFailed: the file of durable streams cannot be used.

    Attributes:
        core: its connections and streams.
        port: the port that accepts WebSockets; 0 before :meth:`start`.
    """

    def __init__(self, settings: Settings) -> None:
        check_durability(settings)
        loop = asyncio.get_running_loop()
        self.settings = settings
        clock = LoopClock(loop)
        self._workers = ThreadWorkers(loop, settings.worker_threads)
        self._store = self._open_store(settings.store_path, clock, loop)
        self.core = Core(settings.core, clock, self._workers, SampledPolicy(self._workers), AllowAll(), self._store)
        self._listener = Listener(self.core)
        self._warn_of_settings()
        self._admin: AdminPort | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """URL for clients on this machine."""
        return url_of("ws", self.settings.host, self.port)

    @property
    def admin_port(self) -> int | None:
        """Port of the admin HTTP API, once started; ``None`` if the gateway has none."""
        return None if self._admin is None else self._admin.port

    @property
    def admin_url(self) -> str | None:
        """URL of the admin HTTP API, once started; ``None`` if the gateway has none."""
        return None if self._admin is None else url_of("http", self.settings.host, self._admin.port)

    async def start(self) -> None:
        """Begin to accept connections.

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
        """Stop gracefully: send GO_AWAY to clients, deliver queued messages until the drain deadline, close."""
        await self._listener.stop(reason, self.settings.drain_deadline_s)
        # After the listener, so that /readyz reports the stop as long as it lasts.
        await self._stop_admin()
        self._workers.close()
        if self._store is not None:
            self._store.close()

    def _open_store(self, path: Path | None, clock: Clock, loop: asyncio.AbstractEventLoop) -> DurableStore | None:
        if path is None:
            return None
        # Late, because the import takes 4 % of the start, and a gateway without a store does not need it.
        from gateway.streams.sqlite.store import SqliteStreamStore  # noqa: PLC0415
        from gateway.streams.sqlite.store_clock import Machine  # noqa: PLC0415

        machine = Machine(boot_id(), time.monotonic_ns, ELAPSED_NS, clock.time_ns)
        return SqliteStreamStore(path, machine, loop.call_soon_threadsafe, self._workers.submit)

    def _warn_of_settings(self) -> None:
        """Log a setting with which no client can work, and report the gateway as not ready.

        A gateway is not kept from starting: after an update that checks more, somebody may want its streams back
        before its configuration is corrected.
        """
        try:
            check_settings(self.settings)
        except InvalidArgument as error:
            self.core.misconfigured = str(error)
            logger.error("clients cannot work with this configuration, /readyz answers 503: %s", error)

    async def _stop_admin(self) -> None:
        if self._admin is not None:
            await self._admin.stop()
