"""A WebSocket on a socket that another server has accepted: the same as on one of the listener's own."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway.protocol.messages import ClientType, Hello, Welcome
from gateway.protocol.session_body import write_session
from gateway.server.taken_over import TakenOverConnection
from tests.connections.reader import Reader
from tests.server.memory import MemoryServer, Socket, SocketTransport, masked

HELLO = masked(2, write_session(Hello((1,), ClientType.ADMIN_PANEL)))


class OtherTransport(SocketTransport):
    """Transport of a socket of another server, which has paused it."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = False
        self.protocol: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


class TakenOverSocket(Socket):
    """Client's end of such a socket."""

    def __init__(self, server: MemoryServer, following: bytes = b"") -> None:
        super().__init__(server)
        self.transport = self.other = OtherTransport()
        taken_over = TakenOverConnection(server.listener, cast(asyncio.AbstractEventLoop, server.loop))
        self.websocket = taken_over
        self.client.send_request(self.client.connect())
        taken_over.take_over(self.other, self.bytes_to_send() + following)


@pytest.mark.parametrize("following", [b"", HELLO[:1], HELLO])
def test_it_goes_on_with_what_was_read_already(following: bytes) -> None:
    server = MemoryServer()
    socket = TakenOverSocket(server, following)
    assert socket.other.protocol is socket.websocket
    assert socket.transport.reading
    socket.push(HELLO[len(following) :])
    reader = Reader()
    reader.feed(socket.messages())
    assert [type(entry) for entry in reader.log] == [Welcome]
    assert len(server.world.core.pool) == 1


def test_one_that_may_not_stay_is_not_read() -> None:
    server = MemoryServer()
    server.listener.door.enters = lambda websocket, address: False  # type: ignore[method-assign]
    socket = TakenOverSocket(server, HELLO)
    assert socket.transport.aborted
    assert not socket.transport.reading
    assert not len(server.world.core.pool)
