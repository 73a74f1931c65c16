"""OutflowWatch: bytes that a silent client takes before it takes a ping are progress; nothing else is."""

from __future__ import annotations

from gateway.connections.heartbeat.outflow_watch import OutflowWatch
from gateway.connections.socket_counts import SocketCounts
from tests.connections.links.test_bottleneck import info
from tests.connections.memory import Peer, World

IN_SOCKET = 16_384 + 32_768
"""Bytes in the socket of :func:`info`."""


def counted(peer: Peer, taken_bytes: int, waiting: int = 0) -> Peer:
    """Have the system of a client say how much it has taken."""
    peer.transport.waiting = waiting
    peer.transport.counts = SocketCounts(0.0, info(0.0)._replace(acknowledged_bytes=taken_bytes))
    return peer


def test_a_client_that_takes_what_stands_before_a_ping_moves() -> None:
    watch, peer = OutflowWatch(), World().peer()
    assert not watch.moves(counted(peer, 1000, waiting=100_000).session)
    assert watch.moves(counted(peer, 1001, waiting=99_999).session)
    assert not watch.moves(counted(peer, 1001, waiting=99_999).session)
    assert watch.moves(counted(peer, 1000 + IN_SOCKET + 100_000).session)


def test_one_that_takes_what_stands_behind_the_ping_does_not_move() -> None:
    """Its system takes what comes, whether the program reads or not."""
    watch, peer = OutflowWatch(), World().peer()
    watch.moves(counted(peer, 1000).session)
    assert watch.moves(counted(peer, 1000 + IN_SOCKET, waiting=50_000).session)
    for taken_bytes in range(1001 + IN_SOCKET, 1100 + IN_SOCKET):
        assert not watch.moves(counted(peer, taken_bytes, waiting=50_000).session)


def test_one_that_has_answered_is_looked_at_afresh() -> None:
    watch, peer = OutflowWatch(), World().peer()
    watch.moves(counted(peer, 1000).session)
    watch.forget(peer.session.peer.id)
    assert len(watch) == 0
    assert not watch.moves(counted(peer, 2000).session)
    assert watch.moves(counted(peer, 2001).session)


def test_without_a_system_that_counts_the_bytes_of_the_gateway_tell() -> None:
    watch, peer = OutflowWatch(), World().peer()
    for waiting, moves in ((100_000, False), (90_000, True), (90_000, False), (95_000, False), (0, True), (0, False)):
        peer.transport.waiting = waiting
        assert watch.moves(peer.session) is moves
