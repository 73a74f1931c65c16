"""Detached consumers: clients that the gateway waits for, and the streams that are kept for them."""

from __future__ import annotations

from gateway.connections.consumers.detached_consumers import DetachedConsumers
from gateway.ids import ClientId, StreamName
from gateway.protocol.names import compile_pattern
from tests.connections.memory import ManualClock

WORKER, OTHER = ClientId("worker"), ClientId("other")
TASKS = StreamName("wf/tasks")


def test_clients_are_found_by_what_they_had_subscribed_to() -> None:
    detached = DetachedConsumers(ManualClock(), 10.0)
    detached.left(WORKER, [compile_pattern("wf/*")], returning=True)
    detached.left(OTHER, [compile_pattern("other/*")], returning=True)
    assert detached.waiting_for(TASKS) == [WORKER]
    detached.joined(WORKER, compile_pattern("other/*"))
    assert detached.waiting_for(TASKS) == []


def test_several_lost_connections_add_up() -> None:
    clock = ManualClock()
    detached = DetachedConsumers(clock, 10.0)
    detached.left(WORKER, [compile_pattern("wf/tasks")], returning=True)
    clock.advance(8.0)
    detached.left(WORKER, [compile_pattern("other/*")], returning=True)
    assert detached.waiting_for(TASKS) == [WORKER]
    clock.advance(9.0)
    detached.sweep()
    assert detached.waiting_for(TASKS) == [WORKER]
    clock.advance(1.1)
    detached.sweep()
    assert not len(detached)


def test_a_client_that_had_subscribed_to_nothing_is_not_waited_for() -> None:
    detached = DetachedConsumers(ManualClock(), 10.0)
    detached.left(WORKER, [], returning=True)
    assert not len(detached)


def test_a_client_that_unsubscribes_is_not_waited_for() -> None:
    detached = DetachedConsumers(ManualClock(), 10.0)
    detached.left(WORKER, [compile_pattern("wf/*")], returning=False)
    assert not len(detached)
