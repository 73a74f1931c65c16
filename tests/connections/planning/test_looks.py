"""Looks of plans: the time that they may take, and their steps, between which the loop goes on."""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

import pytest

from gateway.connections.planning.adjust import LONG_S, ConnectionAdjustments, Connections, SettingChange
from gateway.connections.planning.context import Context
from gateway.connections.planning.facts.facts_reader import STEP
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.plan import ConnectionManagementPlan
from gateway.connections.planning.planning import SET_A_STEP, SHARE
from tests.connections.planning.slow_scene import SlowScene


def test_a_long_look_is_followed_by_a_long_pause_in_which_glances_begin_none(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = SlowScene()
    planned: list[float] = []

    def plan_for_long(context: Context) -> ConnectionManagementPlan:
        planned.append(scene.spent_s)
        scene.spent_s += 0.05
        return ConnectionManagementPlan()

    monkeypatch.setattr("gateway.connections.planning.planning.plan", plan_for_long)
    scene.look()
    assert scene.planning.pause_s == pytest.approx(0.05 / SHARE)
    monkeypatch.setattr(scene.planning._facts, "glance", lambda: True)
    for _ in range(50):
        assert len(planned) == 1
        for _ in scene.planning.glance():
            pass
        scene.world.clock.advance(0.1)
    for _ in scene.planning.glance():
        pass
    assert len(planned) == 2


def test_what_the_loop_does_between_two_steps_of_a_look_is_not_its_time() -> None:
    scene = SlowScene()
    for number in range(2 * STEP):
        scene.publisher.open(1 + number, f"wf/e{number}")
        scene.publisher.publish(1 + number, bytes(8))
    scene.world.settle()
    scene.world.core.workflows.begin_sweep()
    scene.world.settle()
    steps = 0
    for _ in scene.planning.look():
        steps += 1
        scene.spent_s += 0.1
    assert steps
    assert scene.planning.snapshot().spent_s == 0
    assert scene.planning.pause_s == LONG_S


def test_many_settings_end_bit_by_bit_when_plans_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = SlowScene()
    sites = [Site(Knob.ROUTING, f"group:{number}") for number in range(4 * SET_A_STEP)]
    ended: list[Site] = []
    scene.planning._connections = Connections(MappingProxyType(dict.fromkeys(sites, 1.0)))
    monkeypatch.setattr(scene.planning.actuator, "set", lambda change: ended.append(change.site))
    monkeypatch.setattr("gateway.connections.planning.planning.plan", lambda context: 1 // 0)
    counts = [len(ended) for _ in scene.planning.look()]
    assert set(ended) == set(sites)
    assert max([after - before for before, after in pairwise([0, *counts, len(ended)])]) <= SET_A_STEP


def test_a_look_that_is_under_way_as_the_gateway_stops_begins_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = SlowScene()
    changes = [SettingChange(Site(Knob.FLUSH_WINDOW, f"wf{number}"), 0.005, "busy") for number in range(3 * SET_A_STEP)]
    monkeypatch.setattr(
        "gateway.connections.planning.planning.adjust",
        lambda connections, dynamics: ConnectionAdjustments(tuple(changes), (), Connections(), LONG_S),
    )
    windows, steps = scene.planning.actuator._windows, scene.planning.look()
    while not windows:
        next(steps)
    scene.planning.stop()
    for _ in steps:
        pass
    assert not windows
