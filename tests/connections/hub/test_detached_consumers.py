"""Who is waited for."""

from __future__ import annotations

from gateway.connections.hub.detached_consumers import DetachedConsumers
from gateway.ids import ClientId, StreamName
from gateway.protocol.names import compile_pattern

WORKER, OTHER = ClientId("worker"), ClientId("other")
TASKS = StreamName("wf/tasks")


def test_clients_are_found_by_what_they_had_subscribed_to() -> None:
    absences = DetachedConsumers()
    absences.begin(WORKER, [compile_pattern("wf/*")], 10.0)
    absences.begin(OTHER, [compile_pattern("other/*")], 10.0)
    assert absences.waiting_for(TASKS) == [WORKER]
    absences.end(WORKER)
    assert absences.waiting_for(TASKS) == []


def test_several_lost_connections_add_up() -> None:
    absences = DetachedConsumers()
    absences.begin(WORKER, [compile_pattern("wf/tasks")], 10.0)
    absences.begin(WORKER, [compile_pattern("other/*")], 20.0)
    assert absences.waiting_for(TASKS) == [WORKER]
    absences.sweep(19.0)
    assert absences.waiting_for(TASKS) == [WORKER]
    absences.sweep(20.0)
    assert not len(absences)


def test_who_had_subscribed_to_nothing_is_not_waited_for() -> None:
    absences = DetachedConsumers()
    absences.begin(WORKER, [], 10.0)
    assert not len(absences)
