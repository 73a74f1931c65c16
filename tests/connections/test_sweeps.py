"""Sweeps of a core: which there are, and that each does its work."""

from __future__ import annotations

from gateway.connections.core import AGE_INTERVAL_S
from gateway.connections.links.links import SAMPLE_S as LINK_SWEEP_S
from gateway.connections.overload.overload import SWEEP_INTERVAL_S as OVERLOAD_SWEEP_S
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
