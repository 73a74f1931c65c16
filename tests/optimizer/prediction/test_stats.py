"""Values for monitoring do not change."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from tests.admin.reports.test_optimizer import PREDICTIONS


def test_counts_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        PREDICTIONS.fits = 2  # type: ignore[misc]
