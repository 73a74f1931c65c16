"""Signs of life over real sockets: who is dead is closed within the bound, and nobody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest_asyncio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.app import Gateway
from gateway.client import connect
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.connections.heartbeat.pace import HeartbeatSettings
from gateway.connections.outbound.bulk_window import BULK_WRITE_BYTES
from gateway.errors import Code
from gateway.protocol.messages import ClientType
from gateway.protocol.wire import SUBPROTOCOL_JSON
from gateway.testing import running_gateway
from tests.integration.peer import publisher_of, raw_peer, raw_websocket, subscriber_of, until
from tests.integration.proxy import Way, cutting_proxy

INTERVAL_S = 0.4
SETTINGS = Settings(
    admin_port=None,
    drain_deadline_s=2.0,
    core=CoreSettings(heartbeat_interval_s=INTERVAL_S, heartbeat=HeartbeatSettings(0.1, 0.2)),
)


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with running_gateway(SETTINGS) as running:
        yield running


async def let_pass(gateway: Gateway, intervals: float) -> None:
    """Wait until the gateway has counted so many heartbeat intervals."""
    heartbeat = gateway.core.heartbeat
    end = heartbeat.tick + intervals * INTERVAL_S / heartbeat.tick_s
    await until(lambda: heartbeat.tick >= end)


async def closed_with(websocket: ClientConnection) -> int:
    """Read, and say nothing, until the gateway closes."""
    try:
        while True:
            await websocket.recv()
    except ConnectionClosed as closed:
        return 1006 if closed.rcvd is None else closed.rcvd.code


async def test_a_peer_that_the_network_has_swallowed_is_closed_within_the_bound(gateway: Gateway) -> None:
    heartbeat = gateway.core.heartbeat
    async with cutting_proxy(gateway.url) as proxy, raw_peer(proxy.url, "lost"):
        await let_pass(gateway, 1)
        assert len(gateway.core.pool) == 1
        proxy.swallow(Way.TO_GATEWAY)
        proxy.swallow(Way.TO_CLIENT)
        begin = heartbeat.tick
        await until(lambda: len(gateway.core.pool) == 0)
        intervals = (heartbeat.tick - begin) * heartbeat.tick_s / INTERVAL_S
        assert 2 <= intervals <= 3.2  # what was under way may still have come


async def test_clients_that_send_nothing_by_themselves_stay_and_are_measured(gateway: Gateway) -> None:
    hello = '{"message_type":"hello","client_type":"admin_panel","payload":{"versions":[1]}}'
    async with raw_peer(gateway.url, "binary"), raw_websocket(gateway.url, SUBPROTOCOL_JSON) as person:
        await person.send(hello)
        await let_pass(gateway, 4)
        sessions = list(gateway.core.pool)
        assert len(sessions) == 2
        for session in sessions:
            measured = session.connection.round_trip
            assert measured is not None
            assert 0 < measured.smallest_s <= measured.smoothed_s < 60


async def test_an_sdk_client_stays_and_is_measured(gateway: Gateway) -> None:
    async with connect(gateway.url):
        await let_pass(gateway, 4)
        (session,) = gateway.core.pool
        assert session.connection.round_trip is not None


async def test_a_program_that_reads_bulk_and_answers_no_ping_is_closed(gateway: Gateway) -> None:
    async with publisher_of(gateway.url, "wf/bulk") as publisher, subscriber_of(gateway.url, "wf/bulk") as hanging:
        for _ in range(8):
            await publisher.publish(0, bytes(BULK_WRITE_BYTES + 1))
        assert await closed_with(hanging.websocket) == Code.HEARTBEAT_TIMEOUT


async def test_a_silent_person_on_a_slow_link_stays_while_a_large_text_comes(gateway: Gateway) -> None:
    """The answer to a ping waits behind the text, which takes longer than a silent client is waited for."""
    hello = '{"message_type":"hello","client_type":"admin_panel","payload":{"versions":[1]}}'
    async with (
        publisher_of(gateway.url, "wf/large") as publisher,
        raw_websocket(gateway.url, SUBPROTOCOL_JSON) as person,
    ):
        await person.send(hello)
        await person.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/large"}}')
        while b"subscribed" not in str(await person.recv()).encode():
            pass
        await let_pass(gateway, 2)
        transport = person.transport
        transport.pause_reading()
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        await publisher.publish_large(0, bytes(5 * 2**20))
        (session,) = [each for each in gateway.core.pool if each.peer.client_type is ClientType.ADMIN_PANEL]
        for _ in range(10):
            await let_pass(gateway, 0.5)
            transport.resume_reading()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            transport.pause_reading()
        assert session.connection.transport.waiting_bytes()
        assert not session.connection.closed
        transport.resume_reading()
        while len(await person.recv()) < 5 * 2**20:
            pass


async def test_a_client_that_does_not_read_bulk_stays_as_long_as_it_says_something(gateway: Gateway) -> None:
    """A program that has paused, with a library whose own pings go on."""
    async with publisher_of(gateway.url, "wf/bulk") as publisher, subscriber_of(gateway.url, "wf/bulk") as paused:
        paused.stop_reading()
        for _ in range(40):
            await publisher.publish(0, bytes(BULK_WRITE_BYTES + 1))
        for _ in range(8):
            await paused.websocket.ping()
            await let_pass(gateway, 0.5)
        paused.read_on()
        await paused.until(lambda reader: len(reader.arrivals) == 40)
