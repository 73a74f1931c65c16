"""``python -m benchmarks.peers.raw relay|echo``: the least that a TCP server can do on uvloop.

``echo`` sends back what comes. ``relay`` passes bytes between the first and the second connection, the third and the
fourth, and so on; a side that cannot take more pauses the other one. It is what a gateway that does nothing costs.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Echo(asyncio.Protocol):
    """Sends back what it receives."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        """Sends ``data`` back."""
        self.transport.write(data)


class Relay(asyncio.Protocol):
    """Passes what it receives to its partner."""

    waiting: Relay | None = None
    """The first of a pair, until the second has come."""

    transport: asyncio.Transport
    partner: Relay | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pairs the connection with the one before it."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        if Relay.waiting is None:
            Relay.waiting = self
        else:
            self.partner, Relay.waiting = Relay.waiting, None
            self.partner.partner = self

    def data_received(self, data: bytes) -> None:
        """Passes ``data`` on; before there is a partner nobody sends."""
        if self.partner is not None:
            self.partner.transport.write(data)

    def pause_writing(self) -> None:
        """Our peer is slow: its source stops."""
        if self.partner is not None:
            self.partner.transport.pause_reading()

    def resume_writing(self) -> None:
        """Our peer has caught up."""
        if self.partner is not None:
            self.partner.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the other side too."""
        if Relay.waiting is self:
            Relay.waiting = None
        if self.partner is not None:
            self.partner.partner = None
            self.partner.transport.close()


async def serve(protocol: type[Echo] | type[Relay]) -> None:
    """Serves until the process is ended."""
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    print("listening on {}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Relay if sys.argv[1] == "relay" else Echo))
