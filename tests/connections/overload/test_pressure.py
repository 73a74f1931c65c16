"""Pressure: shares of the memory limit."""

from __future__ import annotations

import math

import pytest

from gateway.connections.overload.pressure import Pressure


@pytest.mark.parametrize(("limit_bytes", "shares"), [(1000.0, (0.5, 2.0)), (math.inf, (0.0, 0.0))])
def test_memory_and_queues_are_measured_by_the_limit(limit_bytes: float, shares: tuple[float, float]) -> None:
    pressure = Pressure(0.0, 500, 2000, limit_bytes)
    assert (pressure.memory_share, pressure.queued_share) == shares
