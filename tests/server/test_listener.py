"""Listener: sockets come and go. How it stops is tested over real sockets, in tests/integration."""

from __future__ import annotations

import asyncio

import pytest

from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.server.listener import Listener
from tests.connections.memory import World
from tests.server.memory import MemoryServer, Socket


def test_each_subprotocol_has_its_format() -> None:
    server = MemoryServer()
    server.socket()
    server.socket(SUBPROTOCOL_JSON)
    server.socket()
    forms = [session.connection.format for session in server.world.core.pool]
    assert [form.name for form in forms] == ["frys.v1", "frys.v1.json", "frys.v1"]
    assert forms[0] is forms[2]


def test_a_socket_without_a_handshake_is_no_connection() -> None:
    server = MemoryServer()
    socket = Socket(server)
    assert not len(server.world.core.pool)
    socket.vanish()


async def test_it_listens_and_stops() -> None:
    listener = Listener(World().core)
    await listener.stop("never started", 1.0)
    port = await listener.start("127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await listener.stop("done", 60.0)
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_an_address_that_is_taken() -> None:
    first, second = Listener(World().core), Listener(World().core)
    port = await first.start("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await second.start("127.0.0.1", port)
    await first.stop("done", 1.0)
