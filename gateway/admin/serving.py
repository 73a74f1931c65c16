"""Serves the admin port by uvicorn on the gateway's own loop.

Imported late (:mod:`gateway.admin.port`): this is where Starlette, uvicorn and prometheus-client come in.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Final

import uvicorn

from gateway.admin.application import make_application
from gateway.admin.loop_lag import watch_loop
from gateway.admin.metrics import Metrics
from gateway.admin.port import BACKLOG
from gateway.connections.core import Core

MAX_CONNECTIONS: Final = 256
"""Past it, uvicorn answers 503."""
STOP_TIMEOUT_S: Final = 2
"""How long answers under way may take once the gateway has stopped."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the ``frys`` command, which stops the gateway in good order, and with it this server."""
        yield


class AdminServer:
    """The admin port of one gateway. May be made in another thread; everything else happens on the loop's.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._metrics = Metrics(core)
        config = uvicorn.Config(
            make_application(core, self._metrics),
            # The running loop is the gateway's; h11 whatever else is installed, so that all gateways behave alike.
            loop="none",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        config.load()
        self._server = _Server(config)

    async def serve(self, listening: socket.socket) -> None:
        """Answer until :meth:`stop`; closes the socket."""
        watch = asyncio.get_running_loop().create_task(watch_loop(self._metrics.observe_lag))
        try:
            await self._server.serve(sockets=[listening])
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    def stop(self) -> None:
        """Let :meth:`serve` end: no new connections, answers under way are finished."""
        self._server.should_exit = True
