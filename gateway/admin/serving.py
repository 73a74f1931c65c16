"""Server of the admin port: uvicorn on the gateway's own loop.

Imported late (:mod:`gateway.admin.port`), because it imports Starlette, uvicorn and prometheus-client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
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
"""Connections at once; uvicorn answers further ones with 503."""

UVICORN_LOG: Final = logging.getLogger("uvicorn.error")


def replace_websocket_advice(record: logging.LogRecord) -> bool:
    """Filter the log of uvicorn: replace its advice to install a WebSocket library by one that helps.

    Returns:
        False for the line before the advice, which says less.
    """
    message = record.getMessage()
    if message.startswith("No supported WebSocket library"):
        record.msg = "a WebSocket client came to the admin port; WebSockets are on the gateway's other port (--port)"
        record.args = None
    return message != "Unsupported upgrade request."


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the ``frys`` command, which stops the gateway gracefully, and with it this server."""
        yield


class AdminServer:
    """Server of the admin port of one gateway. May be made in another thread, but is used on the loop's thread only.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._metrics = Metrics(core)
        config = uvicorn.Config(
            make_application(core, self._metrics),
            # The gateway's loop is running already. h11, even where httptools is installed: all gateways behave alike.
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
        )
        config.load()
        self._server = _Server(config)
        UVICORN_LOG.addFilter(replace_websocket_advice)

    async def serve(self, listening: socket.socket) -> None:
        """Answer requests until :meth:`stop`, then close the socket."""
        watch = asyncio.get_running_loop().create_task(watch_loop(self._metrics.observe_lag))
        try:
            await self._server.serve(sockets=[listening])
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    def stop(self) -> None:
        """End :meth:`serve`: take no new connection, finish those that have begun, however long it takes."""
        self._server.should_exit = True

    def abort(self) -> None:
        """Drop all connections, and what waits for them."""
        self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
