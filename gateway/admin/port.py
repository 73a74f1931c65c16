"""Socket of the admin port: bound before the gateway listens, served once it does.

Imports nothing heavy: the HTTP server is loaded in a thread, so that neither the start nor the loop waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Callable, Collection
from functools import partial
from importlib import import_module
from typing import Final, Protocol, cast

from gateway.admin.http.thread import in_thread
from gateway.admin.http.upgrade import TakeSocket
from gateway.admin.log_ring import LogRing
from gateway.connections.core import Core
from gateway.optimizer.recording import RecordingReport

logger = logging.getLogger(__name__)

BACKLOG: Final = 4096
"""Connections that may wait to be accepted, while the server is being loaded and afterwards. The system has those above
it try again after a second, whoever they are."""

STOP_TIMEOUT_S: Final = 2.0
"""Longest time that unfinished answers may take once the gateway has stopped."""

ABORT_TIMEOUT_S: Final = 0.5
"""Longest time that the server may take to end without its connections."""

SERVING: Final = "gateway.admin.serving"


class Server(Protocol):
    """HTTP server of :mod:`gateway.admin.serving`."""

    async def serve(self, listening: socket.socket) -> None:
        """Answer requests until :meth:`stop`."""

    def stop(self) -> None:
        """End :meth:`serve`, when the answers that have begun are sent."""

    def abort(self) -> None:
        """Drop all connections, and what waits for them."""


class AdminPort:
    """Bound port, and the server on it. Made by :meth:`bind`.

    Attributes:
        address: the address of numbers that it is bound to.
        port: the number of the port.
    """

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._stopping = False
        self._log = LogRing()
        self._log.attach()
        self.address, self.port = str(listening.getsockname()[0]), int(listening.getsockname()[1])

    @classmethod
    async def bind(cls, host: str, port: int) -> AdminPort:
        """Bind the port and return it; 0 picks a free one.

        Raises:
            OSError: the address cannot be bound.
        """
        # As for the WebSockets: an empty name is that of all addresses.
        flags = socket.AI_PASSIVE
        found = await in_thread(socket.getaddrinfo, host or None, port, type=socket.SOCK_STREAM, flags=flags)
        family, _, _, _, address = found[0]
        listening = socket.create_server(address, family=family, backlog=BACKLOG)
        listening.setblocking(False)
        return cls(listening)

    def start(
        self,
        core: Core,
        descriptor_limit: float = math.inf,
        recording: RecordingReport | None = None,
        take_websocket: TakeSocket | None = None,
        hosts: Collection[str] = (),
    ) -> None:
        """Load the server and serve, in the background.

        Args:
            core: the gateway.
            descriptor_limit: file descriptors that the process may have.
            recording: reports on its traffic history; ``None``: it has none.
            take_websocket: takes over sockets of clients that ask for a WebSocket; ``None``: they get none.
            hosts: names by which the port may be addressed, as ``admin_hosts`` of the settings.
        """
        load = partial(_load, core, descriptor_limit, self._log, recording, take_websocket, hosts)
        self._serving = asyncio.get_running_loop().create_task(self._serve(load))

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop serving, close the port, and keep no further log lines.

        Args:
            timeout_s: longest time that unfinished answers may take; then their connections are dropped.
        """
        self._stopping = True
        if self._server is not None:
            self._server.stop()
        if self._serving is not None:
            _, unfinished = await asyncio.wait([self._serving], timeout=timeout_s)
            if unfinished and self._server is not None:
                self._server.abort()
                await asyncio.wait(unfinished, timeout=ABORT_TIMEOUT_S)
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        self._listening.close()
        self._log.detach()

    async def _serve(self, load: Callable[[], Server]) -> None:
        try:
            server = await in_thread(load)
            if not self._stopping:
                self._server = server
                await server.serve(self._listening)
        except Exception:
            # A boundary: the gateway goes on without its admin port.
            logger.exception("the admin port %d failed and is closed; the gateway goes on without it", self.port)
            self._listening.close()


def _load(
    core: Core,
    descriptor_limit: float,
    log: LogRing,
    recording: RecordingReport | None,
    take_websocket: TakeSocket | None,
    hosts: Collection[str],
) -> Server:
    """Return the server; called in a thread, as the import of its module takes longer than the start of the gateway."""
    make = import_module(SERVING).AdminServer
    return cast(Server, make(core, descriptor_limit, log, recording, take_websocket, hosts))
