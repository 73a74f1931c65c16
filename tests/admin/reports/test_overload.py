"""Overload as the admin port shows it."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from gateway.admin.reports.overload import OverloadReport
from gateway.connections.overload.overload import OverloadSettings
from tests.connections.memory import World
from tests.connections.overload.fixed_memory import FixedMemory


async def shown(world: World) -> dict[str, Any]:
    response = await OverloadReport(world.core).show(Request({"type": "http"}))
    found = json.loads(bytes(response.body))
    assert isinstance(found, dict)
    return found


async def test_the_stage_is_shown_with_its_reason() -> None:
    world = World(overload=OverloadSettings(100_000_000), memory=FixedMemory(0.0, 85_000_000))
    for _ in world.core.overload.sweep():
        pass
    world.clock.advance(2.0)
    found = await shown(world)
    stages = found.pop("stages")
    assert found == {
        "stage": "lower_views",
        "stage_s": 2.0,
        "reason": "85 MB of memory are resident, and the limit is 100 MB",
        "loop_lag_s": 0.0,
        "resident_bytes": 85_000_000,
        "queued_bytes": 0,
        "memory_limit_bytes": 100_000_000,
    }
    assert stages[2] == {"stage": "lower_views", "transitions": 1, "seconds": 2.0}
    assert [each["stage"] for each in stages] == ["normal", "conflate", "lower_views", "refuse_dashboards", "shed"]


async def test_no_limit_is_null() -> None:
    found = await shown(World())
    assert (found["stage"], found["reason"], found["memory_limit_bytes"]) == ("normal", "", None)
