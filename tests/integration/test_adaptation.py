"""Bounds of ``python -m benchmarks.optimizer.adaptation`` and ``serving``, and the contents that they send."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.optimizer import serving
from benchmarks.optimizer.adaptation import MOST_MESSAGES, MOST_S, Adaptation, Received
from benchmarks.optimizer.adaptation_clients import ELEMENTS, KINDS

LINK, CONTENTS = "link from 1 Gbit/s to 10 Mbit/s", "contents from picture to pattern"


@pytest.mark.parametrize(
    ("change", "seconds", "messages", "broken"),
    [
        (LINK, MOST_S, 1000, False),
        (LINK, MOST_S + 0.1, 10, True),
        (LINK, float("nan"), 10, True),
        (CONTENTS, 60.0, MOST_MESSAGES, False),
        (CONTENTS, 0.1, MOST_MESSAGES + 1, True),
    ],
)
def test_a_link_is_followed_in_time_and_contents_within_messages(
    change: str, seconds: float, messages: int, broken: bool
) -> None:
    adaptation = Adaptation(change, "lz4", "pco:8", seconds, messages, 1.0, 2.0)
    assert bool(adaptation.broken()) == broken
    assert adaptation.row()[:3] == (change, "lz4", "pco:8")


def test_delays_are_those_of_messages_that_were_published_in_a_span() -> None:
    received = Received([(1.0, 0.5), (2.0, 0.25), (3.0, 0.125)])
    assert received.median_ms(1.5, 3.0) == 250.0
    assert np.isnan(received.median_ms(5.0, 6.0))


def test_contents_are_the_same_each_time_and_of_one_shape() -> None:
    for kind in KINDS.values():
        assert np.array_equal(kind(3), kind(3))
        assert (kind(1).shape, kind(1).dtype) == ((ELEMENTS,), np.dtype(np.float32))


def test_a_look_up_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LOOK_UPS", 10)
    assert serving.look_up_us() > 0
