"""Core: connections come, greet, are told to go, and leave; what breaks the protocol closes."""

from __future__ import annotations

import pytest

from gateway.connections.dispatcher import drained as is_drained
from gateway.connections.sessions.session import Session
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import GoAway, Kind
from tests.connections.memory import FixedPolicy, World


def drained(world: World) -> bool:
    return world.core.drained


def test_one_connection_too_many_is_told_to_come_later() -> None:
    world = World(max_connections=1)
    first = world.peer("first")
    second = world.stranger()
    assert second.close_code() == Code.TOO_MANY_CONNECTIONS
    assert second.read().codes == [Code.TOO_MANY_CONNECTIONS]
    second.drop()
    assert len(world.core.pool) == 1
    first.drop()
    assert world.stranger().close_code() is None


def test_nothing_goes_to_a_connection_that_is_closed() -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/state", kind=None)
    watcher, other = world.subscriber("**", "watcher"), world.subscriber("**", "other")
    large = publisher.large(1, bytes(10_000))
    large.chunk()
    watcher.send(bytes(12))
    assert watcher.close_code() == Code.MALFORMED_FRAME
    publisher.publish(0, b"x")
    large.end()
    world.core.go_away("stop", 1.0)
    world.settle()
    watcher.transport.fill_up()
    watcher.transport.read_on()
    world.core.close_all(1001, "stop")
    watcher.drop()
    assert not watcher.transport.late
    assert watcher.transport.closed is not None
    assert watcher.close_code() == Code.MALFORMED_FRAME
    assert len(other.read().arrivals) == 2


def test_a_closed_connection_that_does_not_read_holds_nothing() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.COLLABORATION)
    stuck = world.subscriber("wf/a")
    stuck.transport.fill_up()
    publisher.publish(0, bytes(100_000))
    world.settle()
    stuck.send(bytes(12))
    assert stuck.close_code() == Code.MALFORMED_FRAME
    outbox = stuck.session.connection.outbox
    assert outbox is not None
    assert outbox.waiting_bytes == 0
    publisher.publish(0, bytes(100_000))
    world.settle()
    assert outbox.waiting_bytes == 0
    assert not publisher.read().codes


def test_a_closed_connection_holds_no_large_message_and_does_not_lag() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    stuck = world.subscriber("wf/a")
    stuck.transport.fill_up()
    stuck.send(bytes(12))
    connection = stuck.session.connection
    assert connection.closed
    publisher.large(0, bytes(2_000_000)).end()
    world.settle()
    assert connection.outbox is None or not connection.outbox.waiting_bytes
    assert not connection.lagging
    assert connection not in world.core.planning.actuator.lag_changes.lagging


def test_leaving_twice_does_no_harm() -> None:
    world = World()
    peer = world.subscriber("wf/*")
    peer.drop()
    peer.drop()
    assert len(world.core.pool) == 0


def test_go_away_reaches_everybody_once() -> None:
    world = World()
    peer, stranger = world.peer(), world.stranger()
    world.core.go_away("update", 5.0)
    world.core.go_away("update", 5.0)
    aways = [entry for entry in peer.read().log if isinstance(entry, GoAway)]
    (told,) = aways
    assert (told.code, told.reason, told.deadline_s) == (1001, "update", 5.0)
    assert told.reconnect_after_s is not None
    assert not stranger.read().log


def test_a_gateway_is_not_drained_while_something_waits() -> None:
    world = World(FixedPolicy(Chain(codec="lz4")))
    publisher = world.publisher("wf/a")
    watcher = world.subscriber("wf/a", codecs=("lz4",))
    assert drained(world)
    publisher.publish(0, b"end of the turn")
    assert not drained(world)
    world.turn()
    assert drained(world)
    publisher.publish(0, bytes(200_000))
    world.turn()
    assert not drained(world)
    world.settle()
    assert drained(world)
    large = publisher.large(0, bytes(20_000))
    assert not drained(world)
    large.end()
    world.settle()
    assert drained(world)
    watcher.transport.fill_up()
    publisher.publish(0, b"waits")
    world.settle()
    assert not drained(world)
    watcher.transport.read_on()
    assert drained(world)


def test_while_something_waits_for_one_connection_the_others_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    publisher = world.publisher("wf/a")
    slow, later = [world.subscriber("wf/a", name) for name in ("slow", "later")]
    for peer in (slow, later):
        peer.transport.fill_up()
    publisher.publish(0, b"waits")
    world.settle()
    looks: list[Session] = []

    def look(session: Session) -> bool:
        looks.append(session)
        return is_drained(session)

    monkeypatch.setattr("gateway.connections.core.drained", look)
    assert not drained(world)
    looks.clear()
    for _ in range(10):
        assert not drained(world)
    assert looks == [slow.session] * 10
    slow.transport.read_on()
    assert not drained(world)
    world.lose(later)
    assert drained(world)
