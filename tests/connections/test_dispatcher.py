"""Dispatcher: each frame to whom it concerns, in order, and errors into answers."""

from __future__ import annotations

import pytest

from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.messages import ClientType, Hello, Open
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Ping, Pong
from tests.connections.memory import World


def test_a_ping_is_answered_before_and_after_hello() -> None:
    peer = World().stranger()
    peer.send(Ping(5).write())
    peer.hello()
    peer.send(Ping(6).write())
    pongs = [entry for entry in peer.read().log if isinstance(entry, Pong)]
    assert [pong.t0 for pong in pongs] == [5, 6]
    assert all(pong.t1 <= pong.t2 for pong in pongs)


def test_frames_of_one_websocket_message_are_handled_in_order() -> None:
    peer = World().stranger()
    peer.send(
        write_session(Hello((1,), ClientType.AGENT)), Ping(1).write(), write_session(Hello((1,), ClientType.AGENT))
    )
    kinds = [type(entry).__name__ for entry in peer.read().log]
    assert kinds == ["Welcome", "Pong", "Error"]
    assert peer.close_code() == Code.UNEXPECTED_MESSAGE


def test_what_follows_a_violation_in_the_same_message_does_not_count() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    watcher = world.subscriber("wf/a")
    hello = write_session(Hello((1,), ClientType.AGENT))
    publisher.send(publisher.message(0, b"before"), hello, publisher.message(0, b"after"))
    world.settle()
    assert publisher.close_code() == Code.UNEXPECTED_MESSAGE
    assert [arrival.payload for arrival in watcher.read().arrivals] == [b"before"]
    assert not publisher.transport.late


def test_what_goes_wrong_inside_closes_that_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    publisher, other = world.publisher("wf/a"), world.peer("other")
    monkeypatch.setattr(world.core.streams, "open", lambda *_: 1 // 0)
    publisher.open(5, "wf/b")
    assert publisher.close_code() == Code.INTERNAL_ERROR
    assert publisher.read().codes == [Code.INTERNAL]
    assert other.close_code() is None


def test_a_session_message_that_comes_after_the_close_is_ignored() -> None:
    world = World()
    peer = world.peer("late")
    peer.session.connection.close(Code.GOING_AWAY, "stopping")
    world.core.dispatcher.receive_session(peer.session, Open(1, "wf/late", None))
    assert world.core.streams.get(StreamName("wf/late")) is None
