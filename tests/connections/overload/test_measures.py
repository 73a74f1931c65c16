"""Measures: what each stage calls for, never less in a higher one."""

from __future__ import annotations

import math
from itertools import pairwise

from gateway.connections.overload.measures import MIN_OUTBOX_BYTES, SHED_A_SWEEP, Bounds, Measures, measures_of
from gateway.connections.overload.stage import Stage

MIB = 1024 * 1024
BOUNDS = Bounds(64 * MIB, 1024 * MIB, 1000.0 * MIB)


def test_nothing_is_changed_while_nothing_presses() -> None:
    assert measures_of(Stage.NORMAL, Stage.NORMAL, BOUNDS) == Measures(64 * MIB, 1024 * MIB, 0.0, False, 0)


def test_memory_bounds_what_is_kept() -> None:
    found = [measures_of(stage, stage, BOUNDS) for stage in Stage]
    assert [each.outbox_limit_bytes for each in found] == [64 * MIB, 16 * MIB, 4 * MIB, MIB, MIN_OUTBOX_BYTES]
    assert [each.history_total_bytes // MIB for each in found] == [1024, 250, 150, 100, 50]
    assert [each.refuses_dashboards for each in found] == [False, False, False, True, True]
    assert [each.shed for each in found] == [0, 0, 0, 0, SHED_A_SWEEP]
    assert all(before.view_interval_s <= after.view_interval_s for before, after in pairwise(found))


def test_a_loop_that_lags_takes_nothing_from_receivers() -> None:
    found = measures_of(Stage.SHED, Stage.NORMAL, BOUNDS)
    assert (found.outbox_limit_bytes, found.history_total_bytes) == (64 * MIB, 1024 * MIB)
    assert found.refuses_dashboards
    assert found.view_interval_s == 1.0


def test_bounds_that_are_lower_already_stay() -> None:
    low = Bounds(1000, 10, math.inf)
    found = measures_of(Stage.SHED, Stage.SHED, low)
    assert (found.outbox_limit_bytes, found.history_total_bytes) == (1000, 10)
