"""Plans as the admin port shows them."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from gateway.admin.reports.plans import PlanReport
from gateway.connections.planning.knob import Knob
from tests.connections.planning.crowd import LIGHT, Crowd
from tests.connections.planning.slow_scene import SlowScene


async def shown(scene: SlowScene | Crowd) -> dict[str, Any]:
    if isinstance(scene, SlowScene):
        scene.world.core.planning = scene.planning
    response = await PlanReport(scene.world.core).show(Request({"type": "http"}))
    found = json.loads(bytes(response.body))
    assert isinstance(found, dict)
    return found


async def test_nothing_is_set_before_there_is_a_need() -> None:
    found = await shown(SlowScene())
    assert found["mode"] == "on"
    assert found["settings"] == found["adjustments"] == found["plan"]["wanted"] == []
    assert found["plan"]["shed_first"] == ["dashboards", "agents"]


async def test_a_setting_is_shown_with_its_reason_and_its_effect() -> None:
    scene = SlowScene()
    scene.run(60)
    found = await shown(scene)
    assert found["settings"] == [{"knob": "pacing", "name": "viewer", "value": 1.0, "on_trial": False}]
    (wanted,) = found["plan"]["wanted"]
    assert (wanted["knob"], wanted["workflow"]) == (Knob.PACING, "wf")
    assert "of states are published to it" in wanted["reason"]
    (adjustment,) = found["adjustments"]
    assert adjustment["verdict"] == "kept"
    assert adjustment["effect"].startswith("messages wait ")
    assert adjustment["cost_after_s"] < adjustment["cost_before_s"]


async def test_a_priority_is_shown_with_the_stream_and_explained() -> None:
    scene = Crowd()
    scene.run(40)
    found = await shown(scene)
    assert {"knob": "priority", "name": LIGHT, "value": 1.0, "on_trial": False} in found["settings"]
    (adjustment,) = [each for each in found["adjustments"] if each["knob"] == "priority"]
    assert (adjustment["workflow"], adjustment["verdict"]) == ("wf", "kept")
    assert "wait for turns of other streams that take" in adjustment["reason"]
    assert adjustment["effect"].startswith("messages wait 0.0 ms instead of ")
