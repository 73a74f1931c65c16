"""Queues of one connection: outbox and transport together."""

from __future__ import annotations

from gateway.connections.overload.queues import queued_bytes_of
from gateway.protocol.messages import Kind
from tests.connections.memory import World


def test_the_outbox_and_the_transport_count() -> None:
    world = World()
    slow = world.subscriber("wf/*", "slow")
    connection = slow.session.connection
    assert queued_bytes_of(connection) == 0
    connection.pause_writing()
    author = world.publisher("wf/a", kind=Kind.EVENT)
    author.publish(0, bytes(1000))
    world.settle()
    assert connection.outbox is not None
    assert queued_bytes_of(connection) == connection.outbox.waiting_bytes > 1000
    slow.transport.waiting = 70
    assert queued_bytes_of(connection) == connection.outbox.waiting_bytes + 70
