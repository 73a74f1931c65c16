"""Overload of a core: what it measures, and the stage that it reports."""

from __future__ import annotations

import logging
import math

import pytest

from gateway.connections.overload.overload import OverloadSettings
from gateway.connections.overload.stage import FALL_S, Stage
from gateway.protocol.messages import Kind
from tests.connections.memory import World
from tests.connections.overload.fixed_memory import FixedMemory


def overloaded(limit_bytes: int = 0) -> tuple[World, FixedMemory]:
    """A world whose core has a memory that the test sets."""
    memory = FixedMemory(1000.0)
    return World(overload=OverloadSettings(limit_bytes), memory=memory), memory


def sweep(world: World) -> Stage:
    for _ in world.core.overload.sweep():
        pass
    return world.core.overload.stage


def test_the_limit_is_three_quarters_of_what_the_system_allows() -> None:
    assert overloaded()[0].core.overload.pressure.memory_limit_bytes == 750.0
    assert overloaded(20)[0].core.overload.pressure.memory_limit_bytes == 20
    assert World().core.overload.pressure.memory_limit_bytes == math.inf


def test_the_stage_follows_the_measurements_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gateway.connections.overload")
    world, memory = overloaded(100_000_000)
    memory.resident = 95_000_000
    assert sweep(world) is Stage.SHED
    memory.resident = 0
    for lag_s in (0.04, 0.05, 0.06):
        world.core.overload.loop_lag.observe(lag_s)
    assert sweep(world) is Stage.SHED
    world.clock.advance(FALL_S)
    assert sweep(world) is Stage.REFUSE_DASHBOARDS
    found = world.core.overload.snapshot()
    assert found.stage is Stage.REFUSE_DASHBOARDS
    assert found.reason == "the event loop lags by 40 ms"
    assert dict(found.transitions) == {stage: int(stage >= Stage.REFUSE_DASHBOARDS) for stage in Stage}
    assert found.seconds[Stage.SHED] == pytest.approx(FALL_S)
    assert [record.getMessage() for record in caplog.records] == [
        "overload: from stage normal to shed: 95 MB of memory are resident, and the limit is 100 MB",
        "overload: from stage shed to refuse_dashboards: the event loop lags by 40 ms",
    ]


def test_bytes_that_wait_are_those_of_connections_that_lag_and_of_histories() -> None:
    world, _ = overloaded(1_000_000)
    world.subscriber("wf/*", "slow")
    author = world.peer("author")
    author.open(0, "wf/a", Kind.EVENT)
    (slow,) = [session for session in world.core.pool if session.peer.client_id == "slow"]
    slow.connection.pause_writing()
    author.publish(0, bytes(1000))
    world.settle()
    sweep(world)
    outbox = slow.connection.outbox
    assert outbox is not None
    assert outbox.waiting_bytes > 1000
    history_bytes = world.core.streams.budget.held_bytes
    assert history_bytes > 1000
    assert world.core.overload.pressure.queued_bytes == outbox.waiting_bytes + history_bytes
    slow.connection.resume_writing()
    world.settle()
    sweep(world)
    assert world.core.overload.pressure.queued_bytes == history_bytes
