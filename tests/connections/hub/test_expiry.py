"""Expiry: streams that keep nothing and that nobody has end after their time, and no other ones."""

from __future__ import annotations

import pytest

from gateway.connections.hub.expiry import LEAST_LOOK_S
from gateway.connections.hub.stream_end import LOG_EVERY_S
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import EndReason, Kind
from gateway.protocol.views import View
from gateway.protocol.wire import PRODUCER_KEPT_S
from gateway.streams.history import HistoryLimits
from gateway.streams.rules import StreamConfig
from tests.connections.memory import World
from tests.connections.step_store import StepStore

A = StreamName("wf/a")
AFTER_S = 100.0
AGE_S = 10.0


def world_of(store: StepStore | None = None, expires_after_s: float | None = AFTER_S) -> World:
    durability = None if store is None else Durability.OS
    rule = StreamConfig(history=HistoryLimits(max_age_s=AGE_S), durability=durability, expires_after_s=expires_after_s)
    return World(store=store, rules=[("wf/*", rule)])


def wait(world: World, seconds: float) -> None:
    """Let time pass, and look at ages and streams as a gateway does."""
    passed = 0.0
    while passed < seconds:
        step = min(1.0, seconds - passed)
        world.clock.advance(step)
        passed += step
        for steps in (world.core.trim_histories(), world.core.sweep_consumers()):
            for _ in steps:
                pass
        world.settle()


def exists(world: World, name: StreamName = A) -> bool:
    return world.core.streams.get(name) is not None


def use(world: World, kind: Kind = Kind.EVENT, *payloads: bytes) -> None:
    """Publish to a stream, and go."""
    publisher = world.publisher(A, kind=kind)
    for payload in payloads:
        publisher.publish(0, payload)
    world.settle()
    publisher.drop()


def test_a_stream_that_was_opened_for_nothing_ends_after_its_time() -> None:
    world = world_of()
    watcher = world.subscriber("wf/*")
    use(world)
    wait(world, AFTER_S - 1)
    assert exists(world)
    wait(world, 2)
    assert not exists(world)
    assert [info.ended for info in watcher.read().ended] == ["expired"]
    use(world, Kind.STATE, b"x")  # the name may be used again, for anything
    assert exists(world)


def test_the_time_counts_from_when_its_last_message_is_too_old() -> None:
    world = world_of()
    use(world, Kind.EVENT, b"x")
    wait(world, AFTER_S + AGE_S - 1)
    assert exists(world)
    wait(world, AFTER_S)
    assert not exists(world)


def test_without_a_rule_no_stream_expires() -> None:
    world = world_of(expires_after_s=None)
    use(world)
    wait(world, 10 * AFTER_S)
    assert exists(world)


def test_a_stream_of_which_something_is_kept_stays() -> None:
    world = world_of()
    use(world, Kind.STATE, b"x")
    wait(world, 3 * AFTER_S)
    assert exists(world)


def test_a_stream_that_is_open_or_named_by_a_subscription_stays_and_its_time_begins_anew() -> None:
    world = world_of()
    publisher = world.publisher(A)
    wait(world, 2 * AFTER_S)
    publisher.drop()
    subscriber = world.peer("subscriber")
    number = subscriber.subscribe("wf/a")
    wait(world, 2 * AFTER_S)
    subscriber.unsubscribe(number)
    viewer = world.peer("viewer")
    number = viewer.subscribe("wf/a", view=View(dtype="float32"))
    wait(world, 2 * AFTER_S)
    viewer.unsubscribe(number)
    wait(world, AFTER_S - 1)
    assert exists(world)
    wait(world, AFTER_S)
    assert not exists(world)


def test_one_who_comes_and_goes_has_the_time_begin_anew() -> None:
    world = world_of()
    use(world)
    for _ in range(3):
        wait(world, AFTER_S - 5)
        visitor = world.subscriber("wf/a")
        visitor.drop()
    for _ in range(3):
        wait(world, AFTER_S - 5)
        use(world)
    assert exists(world)
    wait(world, AFTER_S + 1)
    assert not exists(world)


def test_a_short_time_is_looked_at_no_more_often_than_need_be() -> None:
    world = world_of(expires_after_s=0.1)
    use(world)
    wait(world, 0.1 + LEAST_LOOK_S)
    assert not exists(world)


@pytest.mark.parametrize("kind", [Kind.COLLABORATION, Kind.CONTROL])
def test_a_stream_that_acknowledges_stays_as_long_as_its_producers_are_remembered(kind: Kind) -> None:
    world = world_of()
    use(world, kind)
    wait(world, PRODUCER_KEPT_S - 1)
    assert exists(world)
    wait(world, 2 * AFTER_S)
    assert not exists(world)


def test_a_durable_stream_is_deleted() -> None:
    store = StepStore()
    world = world_of(store)
    use(world)
    wait(world, AFTER_S + 1)
    assert [stream.name for stream in store.forgotten] == [A]


def test_a_deleted_stream_is_not_ended_once_more() -> None:
    world = world_of()
    use(world)
    stream = world.core.streams.get(A)
    assert stream is not None
    world.core.hub.end(stream, EndReason.DELETED)
    use(world)
    wait(world, AFTER_S / 2)
    assert exists(world)
    wait(world, AFTER_S)
    assert not exists(world)


def test_the_log_tells_how_many_have_ended(caplog: pytest.LogCaptureFixture) -> None:
    world = world_of()
    world.publisher(*[f"wf/{number}" for number in range(5)]).drop()
    with caplog.at_level("INFO", "gateway.connections.hub.stream_end"):
        wait(world, AFTER_S + LEAST_LOOK_S)
        assert not exists(world, StreamName("wf/4"))
        wait(world, LOG_EVERY_S)
        assert caplog.messages == [
            "stream wf/0 has ended, because it was empty and unused (expired)",
            "streams that have ended since, because they were empty and unused: 4, the last one wf/4 (expired)",
        ]
        caplog.clear()
        wait(world, LOG_EVERY_S)
        world.publisher("wf/again").drop()
        wait(world, AFTER_S + LEAST_LOOK_S)
        assert caplog.messages == ["stream wf/again has ended, because it was empty and unused (expired)"]
