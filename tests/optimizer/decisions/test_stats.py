"""Values for monitoring do not change."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from gateway.optimizer.decisions.stats import DecisionStats


def test_counts_do_not_change() -> None:
    stats = DecisionStats(following=True, failure="", streams=1, in_force=1, table=1, changes=1, taken_back=0)
    with pytest.raises(FrozenInstanceError):
        stats.streams = 2  # type: ignore[misc]
