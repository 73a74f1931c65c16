"""Measures: what each stage calls for, never less in a higher one."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from gateway.connections.overload.measures import MIN_OUTBOX_BYTES, SHED_A_SWEEP, Bounds, Measures, measures_of
from gateway.connections.overload.pressure import Pressure
from gateway.connections.overload.stage import Stage, kept_by, led_to

MIB = 1024 * 1024
BOUNDS = Bounds(64 * MIB, 1024 * MIB, 1000.0 * MIB)


def test_nothing_is_changed_while_nothing_presses() -> None:
    bounds = replace(BOUNDS, memory_limit_bytes=4000.0 * MIB)
    assert measures_of(Stage.NORMAL, Stage.NORMAL, bounds) == Measures(64 * MIB, 1024 * MIB, 0.0, False, 0)


@pytest.mark.parametrize("stage", Stage)
def test_full_histories_alone_lead_to_no_stage_and_keep_none(stage: Stage) -> None:
    """Otherwise a gateway whose histories are full would go from stage to stage and back for ever."""
    held_bytes = measures_of(stage, stage, BOUNDS).history_total_bytes
    pressure = Pressure(0.0, 0, held_bytes, BOUNDS.memory_limit_bytes)
    assert led_to(pressure) is kept_by(pressure) is Stage.NORMAL


def test_memory_bounds_what_is_kept() -> None:
    found = [measures_of(stage, stage, BOUNDS) for stage in Stage]
    assert [each.outbox_limit_bytes for each in found] == [64 * MIB, 16 * MIB, 4 * MIB, MIB, MIN_OUTBOX_BYTES]
    assert [each.history_total_bytes // MIB for each in found] == [300, 250, 150, 100, 50]
    assert [each.refuses_dashboards for each in found] == [False, False, False, True, True]
    assert [each.shed for each in found] == [0, 0, 0, 0, SHED_A_SWEEP]
    assert all(before.view_interval_s <= after.view_interval_s for before, after in pairwise(found))


def test_a_loop_that_lags_takes_nothing_from_receivers() -> None:
    found = measures_of(Stage.SHED, Stage.NORMAL, BOUNDS)
    assert (found.outbox_limit_bytes, found.history_total_bytes) == (64 * MIB, 300 * MIB)
    assert found.refuses_dashboards
    assert found.view_interval_s == 1.0


def test_bounds_that_are_lower_already_stay() -> None:
    low = Bounds(1000, 10, math.inf)
    found = measures_of(Stage.SHED, Stage.SHED, low)
    assert (found.outbox_limit_bytes, found.history_total_bytes) == (1000, 10)
