"""Optimizer as the admin port shows it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from starlette.requests import Request

from gateway.admin.optimizer import OptimizerReport
from gateway.optimizer.history.stats import TrafficHistoryStats

STATS = TrafficHistoryStats(
    directory="traffic",
    sample_interval_s=1.0,
    recorded=10,
    written=4,
    waiting=1,
    dropped=2,
    failed=2,
    lost=1,
    unsampled_messages=7,
    held_bytes=900,
    writer_starts=2,
    writing=True,
    failure="No space left on device",
)


async def shown(report: OptimizerReport) -> dict[str, Any]:
    response = await report.show(Request({"type": "http"}))
    found = json.loads(bytes(response.body))
    assert isinstance(found, dict)
    return found


async def test_the_counts_of_the_traffic_history_are_shown() -> None:
    assert await shown(OptimizerReport(lambda: STATS)) == {"history": asdict(STATS)}


async def test_no_traffic_history_is_null() -> None:
    assert await shown(OptimizerReport(None)) == {"history": None}
