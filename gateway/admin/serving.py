"""Server of the admin port: uvicorn on the gateway's own loop.

Imported late (:mod:`gateway.admin.port`), because it imports Starlette, uvicorn and prometheus-client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Collection, Generator
from typing import Any, Final, cast

import uvicorn

from gateway.admin.application import make_application
from gateway.admin.http.hosts import HostCheck, KnownHosts
from gateway.admin.http.http_connection import MAX_HEAD_BYTES, HttpConnections
from gateway.admin.http.request_limit import RequestLimit
from gateway.admin.http.slots import ConnectionSlots
from gateway.admin.http.upgrade import WEBSOCKET_PATH, TakeSocket
from gateway.admin.log_ring import LogRing
from gateway.admin.port import BACKLOG
from gateway.admin.reports.metrics import Metrics
from gateway.admin.reports.regret import RegretTimeline
from gateway.admin.reports.timeline import Timeline
from gateway.connections.core import Core
from gateway.optimizer.recording import RecordingReport

MAX_CONNECTIONS: Final = 256
"""Connections at once; a further one takes the place of one that is idle or unfinished."""

MAX_REQUESTS: Final = 224
"""Requests that are answered at once. The other connections are left to probes, and to refusals."""

SPARE_DESCRIPTORS: Final = 32
"""File descriptors that HTTP connections leave to the store and the files of the process."""

SPARE_PART: Final = 32
"""One in so many descriptors is left if the limit is low: less than sockets of clients leave
(:mod:`gateway.server.descriptors`)."""

SWEEP_INTERVAL_S: Final = 1.0
"""Interval at which connections are closed whose clients take too long."""

LOG_INTERVAL_S: Final = 60.0
"""Shortest time between two equal log lines of uvicorn: clients cause them."""

UVICORN_LOG: Final = logging.getLogger("uvicorn.error")


class LogFilter:
    """Filter of uvicorn's log: each line about a client once in a while, and advice that helps.

    Args:
        now: a monotonic clock in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._next_s: dict[str, float] = {}

    def __call__(self, record: logging.LogRecord) -> bool:
        """Return whether the line is logged; replace uvicorn's advice to install a WebSocket library."""
        message = record.getMessage()
        if message == "Unsupported upgrade request.":
            return False
        if message.startswith("No supported WebSocket library"):
            message = f"a WebSocket client came to the admin port, which has WebSockets at {WEBSOCKET_PATH} only"
            record.msg, record.args = message, None
        if record.levelno > logging.WARNING:
            return True
        now = self._now()
        if now < self._next_s.get(message, now):
            return False
        self._next_s[message] = now + LOG_INTERVAL_S
        return True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the ``frys`` command, which stops the gateway gracefully, and with it this server."""
        yield


class AdminServer:
    """Server of the admin port of one gateway. May be made in another thread, but is used on the loop's thread only.

    Args:
        core: the gateway.
        descriptor_limit: file descriptors that the process may have.
        log: the last lines of the log.
        recording: reports on its traffic history; ``None``: it has none.
        take_websocket: takes over sockets of clients that ask for a WebSocket; ``None``: they get none.
        hosts: names by which the port may be addressed.
    """

    def __init__(
        self,
        core: Core,
        descriptor_limit: float,
        log: LogRing,
        recording: RecordingReport | None = None,
        take_websocket: TakeSocket | None = None,
        hosts: Collection[str] = (),
    ) -> None:
        known_hosts = KnownHosts(hosts)
        self._metrics = Metrics(core, recording)
        self._timeline = Timeline(core, self._metrics.in_turn)
        self._regret = RegretTimeline(recording)
        self._lag_observers = core.overload.loop_lag.observers
        self._connections = HttpConnections(
            ConnectionSlots(MAX_CONNECTIONS, time.monotonic),
            core.slices,
            descriptor_limit - min(SPARE_DESCRIPTORS, descriptor_limit // SPARE_PART),
            time.monotonic,
            known_hosts,
            take_websocket,
        )
        application = make_application(
            core, self._metrics, recording, timeline=self._timeline, regret=self._regret, log=log
        )
        config = uvicorn.Config(
            HostCheck(RequestLimit(application, MAX_REQUESTS), known_hosts),
            # The gateway's loop is running already. h11, even where httptools is installed: all gateways behave alike.
            loop="none",
            http=cast(Any, self._connections.make),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
        config.load()
        self._server = _Server(config)

    async def serve(self, listening: socket.socket) -> None:
        """Answer requests until :meth:`stop`, then close the socket."""
        log_filter = LogFilter(time.monotonic)
        UVICORN_LOG.addFilter(log_filter)
        loop = asyncio.get_running_loop()
        tasks = [
            loop.create_task(each) for each in (self._close_overdue(), self._timeline.record(), self._regret.record())
        ]
        observers = self._metrics.observe_lag, self._timeline.observe_lag
        self._lag_observers.extend(observers)
        try:
            await self._server.serve(sockets=[listening])
        finally:
            UVICORN_LOG.removeFilter(log_filter)
            for observer in observers:
                self._lag_observers.remove(observer)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """End :meth:`serve`: take no new connection, finish those that have begun, however long it takes."""
        self._server.should_exit = True

    def abort(self) -> None:
        """Drop all connections, and what waits for them."""
        self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    async def _close_overdue(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            self._connections.close_overdue()
