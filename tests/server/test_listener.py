"""Listener: sockets come and go. How it stops is tested over real sockets, in tests/integration."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator

import pytest

from gateway.connections.core import Core
from gateway.connections.core_settings import CoreSettings
from gateway.connections.sessions.session import Session
from gateway.connections.sweeps import Sweep
from gateway.protocol.messages import ClientType, Hello
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Ping
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.security.allow_all import AllowAll
from gateway.server.listener import CLOSED_A_TURN, Listener, repeat
from gateway.server.loop import LoopClock
from gateway.server.websocket import WebSocketConnection
from tests.connections.memory import FixedPolicy, StepWorkers, World
from tests.server.memory import MemoryServer, Socket, masked


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
    silent = Socket(server)
    assert not len(server.world.core.pool)
    silent.vanish()


async def test_it_listens_and_stops() -> None:
    listener = Listener(World().core)
    await listener.stop("never started", 1.0)
    port = await listener.start("127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await listener.stop("done", 60.0)
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_socket_of_which_the_loop_tells_after_the_stop_is_dropped() -> None:
    listener, loop = Listener(World().core), asyncio.get_running_loop()
    await listener.start("127.0.0.1", 0)
    await listener.stop("done", 60.0)
    accepted, client = socket.socketpair()
    await loop.connect_accepted_socket(lambda: WebSocketConnection(listener, loop), accepted)
    reader, writer = await asyncio.open_connection(sock=client)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_an_address_that_is_taken() -> None:
    first, second = Listener(World().core), Listener(World().core)
    port = await first.start("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await second.start("127.0.0.1", port)
    await first.stop("done", 1.0)


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: frys.v1\r\n\r\n"
)
GOING_AWAY = b"\x88\x06\x03\xe9done"
"""A Close of code 1001 with its reason."""


async def open_websocket(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client over a real socket that has become a WebSocket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    return reader, writer


def real_core(settings: CoreSettings) -> Core:
    """A core whose clock is that of the running loop."""
    return Core(settings, LoopClock(asyncio.get_running_loop()), StepWorkers(), FixedPolicy(), AllowAll())


async def test_a_client_that_answers_the_close_is_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.websocket.CLOSE_TIMEOUT_S", 3600.0)
    listener = Listener(real_core(CoreSettings()))
    reader, writer = await open_websocket(await listener.start("127.0.0.1", 0))
    stopping = asyncio.create_task(listener.stop("done", 3600.0))
    assert await reader.readexactly(len(GOING_AWAY)) == GOING_AWAY
    writer.write(masked(8, GOING_AWAY[2:4]))
    assert await reader.read() == b""
    writer.close()
    await stopping


async def test_a_client_that_does_not_answer_the_close_is_cut_off_at_the_deadline() -> None:
    listener = Listener(World().core)
    reader, writer = await open_websocket(await listener.start("127.0.0.1", 0))
    await listener.stop("done", 0.1)
    assert await reader.read() == GOING_AWAY
    writer.close()


async def test_a_socket_that_is_no_websocket_in_time_is_dropped() -> None:
    listener = Listener(real_core(CoreSettings(hello_timeout_s=0.1)))
    reader, writer = await asyncio.open_connection("127.0.0.1", await listener.start("127.0.0.1", 0))
    writer.write(REQUEST[:40])
    assert await reader.read() == b""
    writer.close()
    await listener.stop("done", 1.0)


def test_of_very_many_half_open_sockets_the_oldest_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.listener.MAX_HALF_OPEN", 3)
    server = MemoryServer()
    silent = [Socket(server) for _ in range(3)]
    opened = [server.socket() for _ in range(3)]
    assert [socket.transport.aborted for socket in silent] == [True, False, False]
    later = [Socket(server) for _ in range(2)]
    assert [socket.transport.aborted for socket in silent + later] == [True, True, False, False, False]
    assert not any(socket.transport.aborted for socket in opened)
    for each in silent + later + opened:
        each.vanish()
    assert Socket(server).handshake().transport.aborted is False


def test_sockets_that_wait_for_their_handshake_are_not_half_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.listener.MAX_HALF_OPEN", 3)
    server = MemoryServer()
    server.world.take_one_step_a_turn()
    sockets = list[Socket]()
    for _ in range(10):
        sockets.append(Socket(server))
        sockets[-1].push(REQUEST)
    assert server.world.core.admission.waiting == 9
    silent = [Socket(server) for _ in range(4)]
    assert not any(each.transport.aborted for each in sockets)
    assert [each.transport.aborted for each in silent] == [True, False, False, False]
    while server.world.clock.turn():
        pass
    assert len(server.world.core.pool) == 10
    assert not any(each.transport.aborted for each in sockets)


def test_a_socket_whose_turn_comes_is_half_open_again_until_its_head_is_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.server.listener.MAX_HALF_OPEN", 3)
    server = MemoryServer()
    server.world.take_one_step_a_turn()
    sockets = [Socket(server) for _ in range(3)]
    for each in sockets:
        each.push(REQUEST[:40])
    while server.world.clock.turn():
        pass
    assert server.world.core.admission.waiting == 0
    later = [Socket(server) for _ in range(3)]
    assert [each.transport.aborted for each in sockets + later] == [True] * 3 + [False] * 3


def test_late_handshakes_are_dropped_in_several_turns() -> None:
    server = MemoryServer()
    early = [Socket(server) for _ in range(2 * CLOSED_A_TURN + 1)]
    server.world.clock.advance(server.world.core.settings.hello_timeout_s)
    punctual = Socket(server)
    dropped = [sum(each.transport.aborted for each in early) for _ in server.listener.watch()]
    assert dropped == [CLOSED_A_TURN, 2 * CLOSED_A_TURN]
    assert all(each.transport.aborted for each in early)
    assert not punctual.transport.aborted


async def test_work_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.server.listener.FAILED_PAUSE_S", 0.0)
    done, begun = asyncio.Event(), list[int]()

    def work() -> Iterator[None]:
        begun.append(len(begun))
        if begun[-1] == 0:
            raise ValueError("at once")
        yield
        if begun[-1] == 1:
            raise ValueError("in the middle")
        done.set()

    with caplog.at_level(logging.ERROR):
        task = asyncio.create_task(repeat(Sweep(lambda: 0.0, work)))
        async with asyncio.timeout(10):
            await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["at once", "in the middle"]


def test_a_client_that_is_refused_before_its_handshake_is_no_connection() -> None:
    server = MemoryServer(World(max_connections=1))
    server.socket()
    refused = Socket(server)
    hello = masked(2, b"\x08\0\0\0\x18\0\0\0")
    refused.push(REQUEST + hello)
    refused.push(hello * 100)
    assert refused.transport.closed
    assert bytes(refused.transport.sent).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert len(server.world.core.pool) == 1
    refused.vanish()


def test_connections_that_are_lost_at_the_same_time_are_disconnected_in_several_turns() -> None:
    server = MemoryServer()
    sockets = [server.socket() for _ in range(5)]
    server.world.take_one_step_a_turn()
    for each in sockets:
        each.vanish()
    left = [len(server.world.core.pool)]
    while server.world.clock.turn():
        left.append(len(server.world.core.pool))
    assert left == sorted(left, reverse=True)
    assert set(left) >= {4, 3, 2, 1, 0}


def test_a_session_that_fails_as_it_is_disconnected_leaves_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    server = MemoryServer()
    sockets = [server.socket() for _ in range(4)]
    failing = next(iter(server.world.core.pool))
    disconnect = Core.disconnect

    def fail(core: Core, session: Session) -> None:
        disconnect(core, session)
        if session is failing:
            raise ValueError("a bug")

    monkeypatch.setattr(Core, "disconnect", fail)
    server.world.take_one_step_a_turn()
    for each in reversed(sockets):
        each.vanish()
    server.world.turn()
    assert not len(server.world.core.pool)


def test_handshakes_that_come_at_the_same_time_are_done_in_several_turns() -> None:
    server = MemoryServer()
    sockets = [Socket(server) for _ in range(6)]
    server.world.take_one_step_a_turn()
    for each in sockets:
        each.push(REQUEST)
    assert [each.transport.reading for each in sockets] == [True] + [False] * 5
    sockets[3].transport.aborted = True
    there = [len(server.world.core.pool)]
    assert server.world.core.admission.waiting == 5
    while server.world.clock.turn():
        there.append(len(server.world.core.pool))
    assert there == sorted(there)
    assert set(there) == {1, 2, 3, 4, 5}
    assert server.world.core.admission.waiting == 0
    assert [each.transport.reading for each in sockets] == [True] * 3 + [False] + [True] * 2
    assert [bool(each.transport.sent) for each in sockets] == [True] * 3 + [False] + [True] * 2


def test_a_handshake_that_has_waited_reads_no_more_from_a_client_that_has_sent_too_much_already() -> None:
    server = MemoryServer()
    first, late = Socket(server), Socket(server)
    server.world.take_one_step_a_turn()
    first.push(REQUEST)
    hello = b"".join(map(bytes, [write_session(Hello((1,), ClientType.AGENT))]))
    late.push(REQUEST + masked(2, hello) + masked(2, Ping(1).write()) * 20)
    held = list[bool]()
    while server.world.clock.turn():
        sessions = list(server.world.core.pool)
        if len(sessions) == 2:
            held.append(sessions[1].connection.reading.held)
            assert late.transport.reading is not held[-1]
    assert held[0]
    assert not held[-1]
