"""Sweeps of a core: which there are, and that each does its work."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.connections.core import AGE_INTERVAL_S
from gateway.connections.links.links import SAMPLE_S as LINK_SWEEP_S
from gateway.connections.overload.overload import SWEEP_INTERVAL_S as OVERLOAD_SWEEP_S
from gateway.connections.sweeps import timed
from tests.connections.memory import World


def test_a_core_has_a_sweep_for_each_kind_of_work_that_recurs() -> None:
    """The pauses come from the settings; all of the work may be done at any time."""
    world = World()
    core = world.core
    pauses = [sweep.pause_s() for sweep in core.sweeps]
    expected = (
        core.heartbeat.tick_s,
        core.settings.consumer_sweep_interval_s,
        core.workflows.pause_s,
        core.presence.sweep.pause_s(),
        LINK_SWEEP_S,
        AGE_INTERVAL_S,
        OVERLOAD_SWEEP_S,
    )
    assert all(pause_s in pauses for pause_s in expected)
    for sweep in core.sweeps:
        assert list(sweep.work() or ()) == []


def test_the_time_between_two_steps_does_not_count() -> None:
    now_s, took = [0.0], list[float]()

    def steps() -> Iterator[None]:
        for _ in range(3):
            now_s[0] += 1.0
            yield

    for _ in timed(steps(), lambda: now_s[0], took.append):
        assert took == []
        now_s[0] += 100.0
    assert took == [3.0]
