"""Decisions: the saving that they promise."""

from __future__ import annotations

import pytest

from gateway.optimizer.decisions.decision import Decision
from gateway.protocol.encoding import PLAIN


@pytest.mark.parametrize(
    ("predicted_s", "baseline_s", "saved_share"), [(0.5, 2.0, 0.75), (2.0, 2.0, 0.0), (3.0, 2.0, -0.5), (1.0, 0.0, 0.0)]
)
def test_what_is_saved_is_a_share_of_the_baseline(predicted_s: float, baseline_s: float, saved_share: float) -> None:
    assert Decision(PLAIN, None, predicted_s, baseline_s, "").saved_share == saved_share
