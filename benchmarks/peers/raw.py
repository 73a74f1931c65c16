"""Server ``python -m benchmarks.peers.raw relay|echo|arrays``: the least that a TCP server does on uvloop.

``echo`` sends received bytes back. ``relay`` passes bytes between the first and the second connection, the third and
the fourth, and so on; a slow side pauses the other one. It has the costs of a gateway that does nothing. ``arrays`` is
a relay that acknowledges each message, which begins with its length.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import Final, cast

import uvloop

LENGTH: Final = struct.Struct("<Q")
"""Bytes before each message at the relay ``arrays``."""


class Echo(asyncio.Protocol):
    """Connection that sends received bytes back."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        """Send ``data`` back."""
        self.transport.write(data)


class Relay(asyncio.Protocol):
    """Connection that passes received bytes to its partner."""

    waiting: Relay | None = None
    """First connection of a pair, until the second has come."""

    transport: asyncio.Transport
    partner: Relay | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pair the connection with the previous one."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        if Relay.waiting is None:
            Relay.waiting = self
        else:
            self.partner, Relay.waiting = Relay.waiting, None
            self.partner.partner = self

    def data_received(self, data: bytes) -> None:
        """Pass ``data`` on; no client sends before its connection has a partner."""
        if self.partner is not None:
            self.partner.transport.write(data)

    def pause_writing(self) -> None:
        """Stop reading from the partner: this client is slow."""
        if self.partner is not None:
            self.partner.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read from the partner again: this client has caught up."""
        if self.partner is not None:
            self.partner.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the partner, too."""
        if Relay.waiting is self:
            Relay.waiting = None
        if self.partner is not None:
            self.partner.partner = None
            self.partner.transport.close()


class ArrayRelay(Relay):
    """Relay that answers each whole message by one byte."""

    _begun = b""
    """Part of the next message's length."""
    _end: int | None = None
    """End of the current message, counted from the next byte."""

    def data_received(self, data: bytes) -> None:
        """Pass ``data`` on, and acknowledge the messages that end in it."""
        super().data_received(data)
        data = self._begun + data if self._begun else data
        start = ended = 0
        end = self._end
        while True:
            if end is None and len(data) - start >= LENGTH.size:
                end = start + LENGTH.size + LENGTH.unpack_from(data, start)[0]
            if end is None or end > len(data):
                break
            ended += 1
            start, end = end, None
        self._begun, self._end = (data[start:], None) if end is None else (b"", end - len(data))
        if ended:
            self.transport.write(bytes(ended))


PROTOCOLS: Final[dict[str, type[Echo] | type[Relay]]] = {"echo": Echo, "relay": Relay, "arrays": ArrayRelay}


async def serve(protocol: type[Echo] | type[Relay]) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    print("listening on {}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(PROTOCOLS[sys.argv[1]]))
