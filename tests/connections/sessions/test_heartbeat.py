"""Heartbeat: who says nothing is probed, then closed."""

from __future__ import annotations

import pytest

from gateway.connections.sessions.heartbeat import Heartbeat
from gateway.errors import Code
from gateway.protocol.signals import Ping
from tests.connections.memory import World

INTERVALS = [(20.0, 10.0), (20.0, 0.5), (20.0, 100.0), (1.0, 1.0), (20.0, 7.0)]


def sweeps(heartbeat: Heartbeat, seconds: float) -> int:
    return int(seconds / heartbeat.sweep_interval_s + 1e-9)


@pytest.mark.parametrize(("interval_s", "hello_timeout_s"), INTERVALS)
def test_a_silent_client_is_probed_and_then_closed(interval_s: float, hello_timeout_s: float) -> None:
    world = World()
    peer = world.peer()
    heartbeat = Heartbeat(world.core.pool, interval_s, hello_timeout_s)
    heartbeat.sweep()
    for _ in range(sweeps(heartbeat, 2.4 * interval_s)):
        heartbeat.sweep()
    assert peer.close_code() is None
    assert 1 <= peer.transport.pings <= 4
    for _ in range(sweeps(heartbeat, 0.5 * interval_s) + 1):
        heartbeat.sweep()
    assert peer.close_code() == Code.HEARTBEAT_TIMEOUT
    assert peer.read().codes == [Code.HEARTBEAT_TIMEOUT]


@pytest.mark.parametrize(("interval_s", "hello_timeout_s"), INTERVALS)
def test_a_client_that_pings_every_interval_stays(interval_s: float, hello_timeout_s: float) -> None:
    world = World()
    peer = world.peer()
    heartbeat = Heartbeat(world.core.pool, interval_s, hello_timeout_s)
    for _ in range(5):
        for _ in range(sweeps(heartbeat, interval_s)):
            heartbeat.sweep()
        peer.send(Ping(1).write())
    assert peer.close_code() is None


@pytest.mark.parametrize(("interval_s", "hello_timeout_s"), INTERVALS)
def test_a_client_that_never_says_hello_is_closed_in_time(interval_s: float, hello_timeout_s: float) -> None:
    world = World()
    stranger = world.stranger()
    heartbeat = Heartbeat(world.core.pool, interval_s, hello_timeout_s)
    for _ in range(sweeps(heartbeat, hello_timeout_s) - 1):
        heartbeat.sweep()
        stranger.send(Ping(1).write())
    assert stranger.close_code() is None
    for _ in range(2):
        heartbeat.sweep()
    assert stranger.close_code() == Code.HANDSHAKE_TIMEOUT
    assert stranger.read().codes == [Code.HANDSHAKE_TIMEOUT]


def test_a_person_behind_a_plain_websocket_stays_up_by_its_pongs() -> None:
    world = World()
    peer = world.peer()
    heartbeat = Heartbeat(world.core.pool, 20.0, 10.0)
    for _ in range(100):
        heartbeat.sweep()
        if peer.transport.pings:
            peer.transport.pings = 0
            peer.session.heard = True
    assert peer.close_code() is None
