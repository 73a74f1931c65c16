"""Detached consumers: clients that the gateway waits for, and the streams that are kept for them."""

from __future__ import annotations

from gateway.connections.consumers.detached_consumers import MAX_PATTERNS, DetachedConsumers
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.ids import ClientId, StreamName
from gateway.protocol.names import compile_pattern
from gateway.streams.rules import StreamConfig, StreamRules
from tests.connections.memory import ManualClock

WORKER, OTHER = ClientId("worker"), ClientId("other")
TASKS = StreamName("wf/tasks")


def detached_consumers(clock: ManualClock, *rules: tuple[str, StreamConfig]) -> DetachedConsumers:
    compiled = [(compile_pattern(pattern), config) for pattern, config in rules]
    return DetachedConsumers(clock, ConsumerSettings(consumer_ttl_s=10.0), StreamRules(compiled))


def test_clients_are_found_by_what_they_had_subscribed_to() -> None:
    detached = detached_consumers(ManualClock())
    detached.left(WORKER, [compile_pattern("wf/*")], returning=True)
    detached.left(OTHER, [compile_pattern("other/*")], returning=True)
    assert detached.waiting_for(TASKS) == [WORKER]
    detached.joined(WORKER, compile_pattern("wf/*"), observing=True)
    assert detached.waiting_for(TASKS) == [WORKER]
    detached.joined(WORKER, compile_pattern("wf/*"), observing=False)
    assert detached.waiting_for(TASKS) == []


def test_a_client_that_subscribes_step_by_step_misses_no_stream_that_begins_in_between() -> None:
    detached = detached_consumers(ManualClock())
    detached.left(WORKER, [compile_pattern("wf/*"), compile_pattern("other/*")], returning=True)
    detached.joined(WORKER, compile_pattern("other/*"), observing=False)
    assert detached.waiting_for(TASKS) == [WORKER]
    detached.joined(WORKER, compile_pattern("wf/*"), observing=False)
    assert len(detached) == 0


def test_several_lost_connections_add_up() -> None:
    clock = ManualClock()
    detached = detached_consumers(clock)
    detached.left(WORKER, [compile_pattern("wf/tasks")], returning=True)
    clock.advance(8.0)
    detached.left(WORKER, [compile_pattern("other/*")], returning=True)
    assert detached.waiting_for(TASKS) == [WORKER]
    clock.advance(2.1)
    detached.sweep()
    # Each for its own time: otherwise a client that comes back again and again would be waited for without end.
    assert (detached.waiting_for(TASKS), detached.waiting_for(StreamName("other/tasks"))) == ([], [WORKER])
    clock.advance(8.0)
    detached.sweep()
    assert not len(detached)


def test_a_client_that_had_subscribed_to_nothing_is_not_waited_for() -> None:
    detached = detached_consumers(ManualClock())
    detached.left(WORKER, [], returning=True)
    assert not len(detached)


def test_a_client_that_unsubscribes_is_not_waited_for() -> None:
    detached = detached_consumers(ManualClock())
    detached.left(WORKER, [compile_pattern("wf/*")], returning=False)
    assert not len(detached)


def test_a_stream_with_a_time_of_its_own_waits_for_that_long() -> None:
    clock = ManualClock()
    detached = detached_consumers(
        clock, ("wf/brief", StreamConfig(consumer_ttl_s=2.0)), ("wf/long", StreamConfig(consumer_ttl_s=100.0))
    )
    detached.left(WORKER, [compile_pattern("wf/*")], returning=True)
    clock.advance(5.0)
    names = ("wf/brief", "wf/tasks", "wf/long")
    assert [detached.waiting_for(StreamName(name)) for name in names] == [[], [WORKER], [WORKER]]
    clock.advance(45.0)
    detached.sweep()
    assert [detached.waiting_for(StreamName(name)) for name in names] == [[], [], [WORKER]]
    clock.advance(51.0)
    detached.sweep()
    assert len(detached) == 0


def test_past_the_bound_the_clients_that_were_lost_first_are_forgotten() -> None:
    detached = detached_consumers(ManualClock())
    every = [compile_pattern(f"wf/{number}") for number in range(1024)]
    clients = [ClientId(f"client-{number}") for number in range(MAX_PATTERNS // len(every))]
    for client_id in clients:
        detached.left(client_id, every, returning=True)
    detached.left(clients[0], every, returning=True)
    assert len(detached) == len(clients)
    detached.left(WORKER, [compile_pattern("wf/0")], returning=True)
    assert sorted(detached.waiting_for(StreamName("wf/0"))) == sorted([*clients[2:], clients[0], WORKER])
    detached.joined(clients[0], every[0], observing=False)
    detached.left(OTHER, [compile_pattern("wf/0")], returning=True)
    assert len(detached) == len(clients) + 1
