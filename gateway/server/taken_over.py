"""WebSocket on a socket that another server of this process has accepted."""

from __future__ import annotations

import asyncio

from gateway.server.websocket import WebSocketConnection
from gateway.server.write_limits import FIRST, bound_unsent


class TakenOverConnection(WebSocketConnection):
    """WebSocket whose request another server has read."""

    __slots__ = ()

    def take_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Take a socket that is not read now, and begin to read it.

        Args:
            transport: transport of the socket. Its writing is not paused.
            data: all bytes of the client so far: the beginning of its request, and whatever follows.
        """
        transport.set_protocol(self)
        bound_unsent(transport.get_extra_info("socket"), FIRST.unsent_bytes)
        self.connection_made(transport)
        if transport.is_closing():
            return  # the gateway has no place for it
        # First: the handshake may wait for its turn, unread.
        transport.resume_reading()
        self._shake_hands(memoryview(data))
