"""Traffic record: the ratio of its outcome."""

from __future__ import annotations

from tests.optimizer.history.records import record


def test_the_ratio_is_known_if_the_outcome_is() -> None:
    assert record(published_bytes=1000, sent_bytes=250).ratio == 0.25
    assert record(published_bytes=None, sent_bytes=None).ratio is None
    assert record(published_bytes=0, sent_bytes=0).ratio is None
