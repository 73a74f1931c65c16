"""DeafWatch: a client that has read a PING and does not answer it is found, and nobody else."""

from __future__ import annotations

import pytest

from gateway.connections.heartbeat.deaf_watch import DeafWatch
from gateway.connections.outbound.bulk_window import FIRST_WINDOW_BYTES
from gateway.protocol.signals import Pong
from tests.connections.frames import START_NS
from tests.connections.memory import Peer, World

PATIENCE = 5


class Watched:
    """A client, and a watch over it whose looks are ticks."""

    def __init__(self, peer: Peer, *, reads: bool = True) -> None:
        self.peer = peer
        self.reads = reads
        self.watch = DeafWatch(PATIENCE)
        self.tick = 0
        self.pings = 0

    def look(self) -> bool:
        """Look; a client that reads answers a ping before the next look."""
        session = self.peer.session
        if self.reads:
            session.asked_ns = 0
        self.tick += 1
        deaf = self.watch.is_deaf(session, self.tick)
        if not session.asked_ns and self.watch.wants_ping(session):
            session.asked_ns = self.tick
            self.pings += 1
            self.watch.asked(session)
        return deaf

    def looks_until_deaf(self) -> int | None:
        """Look often; the number of the look that has found the client deaf."""
        return next((number for number in range(1, 100) if self.look()), None)


def probed(peer: Peer) -> Peer:
    peer.session.connection.probe()
    return peer


def sent_bulk(peer: Peer) -> Peer:
    peer.session.connection.write_bulk([], FIRST_WINDOW_BYTES)
    return peer


@pytest.mark.parametrize("unanswered", [probed, sent_bulk])
def test_a_program_that_reads_and_does_not_answer_is_deaf(unanswered: object) -> None:
    assert callable(unanswered)
    watched = Watched(unanswered(World().peer()))
    # It is seen, confirmed and asked, found to have read, and then has its time.
    assert watched.looks_until_deaf() == 3 + PATIENCE
    assert watched.pings == 1


def test_one_that_does_not_read_is_not_deaf_however_long_it_takes() -> None:
    watched = Watched(probed(World().peer()), reads=False)
    assert watched.looks_until_deaf() is None
    assert watched.pings == 1
    watched.reads = True
    assert watched.looks_until_deaf() == 1 + PATIENCE


def test_one_that_answers_one_after_the_other_is_not_deaf() -> None:
    peer = World().peer()
    for _ in range(20):
        sent_bulk(peer)
    pings = [ping.t0 for ping in peer.reader.feed(b"".join(peer.transport.writes))]
    watched = Watched(peer)
    for t0 in pings:
        for _ in range(PATIENCE):
            assert not watched.look()
        peer.send(Pong(t0, START_NS, START_NS).write())
    assert not watched.look()
    assert len(watched.watch) == 0


def test_a_client_that_has_answered_everything_is_not_watched_or_pinged() -> None:
    peer = World().peer()
    watched = Watched(peer)
    assert watched.looks_until_deaf() is None
    probed(peer).read()
    assert watched.looks_until_deaf() is None
    assert (watched.pings, len(watched.watch)) == (0, 0)


def test_one_that_is_gone_is_forgotten() -> None:
    watched = Watched(probed(World().peer()))
    watched.look()
    assert len(watched.watch) == 1
    watched.watch.forget(watched.peer.session.peer.id)
    assert len(watched.watch) == 0


def test_a_flow_of_bulk_that_is_answered_is_not_pinged() -> None:
    peer = World().peer()
    watched = Watched(peer)
    for _ in range(50):
        sent_bulk(peer)
        watched.look()
        peer.read()
    assert watched.pings == 0
