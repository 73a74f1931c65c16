"""VanishWatch: a client whose system acknowledges nothing is gone in time; one whose system lives never is."""

from __future__ import annotations

from gateway.connections.heartbeat.vanish_watch import VanishWatch
from gateway.connections.socket_counts import NO_SOCKET_COUNTS, SocketCounts
from tests.connections.links.test_bottleneck import info
from tests.connections.memory import Peer, World


def counted(peer: Peer, acknowledged_bytes: int, unacknowledged_bytes: int = 10) -> Peer:
    """Have the system tell what a client's system has acknowledged."""
    tcp = info(0.0)._replace(acknowledged_bytes=acknowledged_bytes, unacknowledged_bytes=unacknowledged_bytes)
    peer.transport.counts = SocketCounts(0.0, tcp)
    return peer


def test_a_client_whose_system_acknowledges_nothing_is_gone_in_time() -> None:
    watch, peer = VanishWatch(125), World().peer()
    watch.asked(counted(peer, 1000).session, 0)
    assert watch.ticks_left(peer.session, 50) == 75
    assert watch.ticks_left(peer.session, 125) == 0
    assert watch.ticks_left(peer.session, 400) == 0


def test_each_byte_that_is_acknowledged_gives_it_the_whole_time_again() -> None:
    watch, peer = VanishWatch(125), World().peer()
    watch.asked(counted(peer, 1000).session, 0)
    assert watch.ticks_left(counted(peer, 1001).session, 100) == 125
    assert watch.ticks_left(peer.session, 200) == 25


def test_a_system_that_has_acknowledged_the_ping_lives_however_long_its_program_says_nothing() -> None:
    watch, peer = VanishWatch(125), World().peer()
    watch.asked(counted(peer, 1000).session, 0)
    for tick in (50, 500):
        assert watch.ticks_left(counted(peer, 1010, 0).session, tick) is None
        assert len(watch) == 0


def test_one_whose_system_acknowledges_nothing_of_what_is_sent_behind_the_ping_is_gone_in_time() -> None:
    watch, peer = VanishWatch(125), World().peer()
    watch.asked(counted(peer, 1000).session, 0)
    assert watch.ticks_left(counted(peer, 1010, 0).session, 50) is None
    assert watch.ticks_left(counted(peer, 1010, 10).session, 500) == 125
    assert watch.ticks_left(peer.session, 600) == 25


def test_without_a_system_that_counts_nobody_is_watched() -> None:
    watch, peer = VanishWatch(125), World().peer()
    watch.asked(peer.session, 0)
    assert len(watch) == 0
    watch.asked(counted(peer, 1000).session, 0)
    peer.transport.counts = NO_SOCKET_COUNTS
    assert watch.ticks_left(peer.session, 500) is None


def test_one_that_was_heard_is_forgotten() -> None:
    watch, peer = VanishWatch(125), World().peer()
    watch.asked(counted(peer, 1000).session, 0)
    watch.forget(peer.session.peer.id)
    assert len(watch) == 0
    assert watch.ticks_left(peer.session, 500) == 125
