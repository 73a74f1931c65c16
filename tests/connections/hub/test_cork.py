"""Cork: everything that is written arrives, in order, and in few pieces."""

from __future__ import annotations

from gateway.connections.hub.cork import CORKED_BYTES, Cork
from gateway.connections.outbound.null_transport import NULL_TRANSPORT
from gateway.connections.socket_counts import NO_SOCKET_COUNTS
from gateway.protocol.signals import Ping
from tests.connections.memory import World


def test_what_is_written_arrives_in_one_piece_and_in_order() -> None:
    peer = World().peer()
    connection, transport = peer.session.connection, peer.transport
    with Cork(connection):
        connection.send(Ping(1))
        connection.transport.writelines([b"a", b"b"])
        connection.transport.raw_write(b"c")
        assert not transport.writes
        assert connection.transport.waiting_bytes() == len(Ping(1).write()) + 3
    assert transport.writes == [Ping(1).write() + b"abc"]
    assert connection.transport is transport


def test_a_transport_that_becomes_full_says_so_meanwhile() -> None:
    peer = World().peer()
    connection = peer.session.connection
    peer.transport.stalled = True
    with Cork(connection):
        connection.transport.write(bytes(CORKED_BYTES))
        assert not connection.paused
        connection.transport.write(b"x")
        assert connection.paused


def test_a_connection_that_is_closed_meanwhile_gets_what_was_written_before() -> None:
    peer = World().peer()
    connection = peer.session.connection
    with Cork(connection):
        connection.transport.write(b"before")
        connection.close(1000, "over")
        connection.transport.write(b"behind")
    assert peer.transport.writes == [b"before"]
    assert not peer.transport.late
    assert connection.transport is NULL_TRANSPORT


def test_who_still_has_it_writes_straight_to_the_transport() -> None:
    peer = World().peer()
    with Cork(peer.session.connection):
        cork = peer.session.connection.transport
    cork.write(b"a")
    cork.raw_write(b"b")
    cork.writelines([b"c", b"d"])
    assert peer.transport.writes == [b"a", b"b", b"c", b"d"]
    cork.pause_reading()
    assert not peer.transport.is_reading()
    cork.resume_reading()
    cork.ping(b"there?")
    assert (peer.transport.pings, peer.transport.reading) == ([b"there?"], True)
    assert (cork.peer_address(), cork.waiting_bytes()) == ("192.0.2.7:4711", 0)
    assert cork.socket_counts() is NO_SOCKET_COUNTS


def test_a_large_buffer_is_written_as_it_is_behind_what_came_before() -> None:
    peer = World().peer()
    connection = peer.session.connection
    large = bytes(CORKED_BYTES + 1)
    with Cork(connection):
        connection.transport.write(b"before")
        connection.transport.writelines([large, b"behind"])
    assert peer.transport.writes == [b"before", large, b"behind"]
