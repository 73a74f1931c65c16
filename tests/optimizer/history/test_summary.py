"""Summary of a traffic history: records of one decision are added up."""

from __future__ import annotations

from gateway.optimizer.history.summary import SummaryKey, summarize
from tests.optimizer.history.records import record


def test_records_of_one_decision_are_added_up() -> None:
    records = [
        record(1, time_ns=20, sent_bytes=100, published_bytes=200, encode_s=1.0, receivers=3, client="new"),
        record(1, time_ns=10, sent_bytes=50, published_bytes=400, encode_s=None, receivers=5, client="old"),
        record(1, time_ns=15, sent_bytes=None, published_bytes=None, rtt_s=0.5),
    ]
    ((key, summary),) = summarize(records).items()
    assert key == SummaryKey("wf/1", "", "frys.v1", ("lz4", "zstd"), "zstd:1")
    assert (summary.records, summary.messages, summary.receivers) == (3, 9, 5)
    assert summary.ratio == 150 / 600
    assert (summary.first_ns, summary.newest.client) == (10, "new")
    assert summary.encode_s.value == (1.0 + 0.25) / 2
    assert (summary.rtt_s.value, summary.goodput_bytes_per_s.value) == (0.5, None)


def test_decisions_are_sorted_and_kept_apart() -> None:
    records = [record(2), record(1, chain="none"), record(1), record(1, codecs=()), record(1, view="half")]
    assert [key[:2] + key[4:] for key in summarize(records)] == [
        ("wf/1", "", "zstd:1"),
        ("wf/1", "", "none"),
        ("wf/1", "", "zstd:1"),
        ("wf/1", "half", "zstd:1"),
        ("wf/2", "", "zstd:1"),
    ]


def test_without_an_outcome_there_is_no_ratio() -> None:
    ((_, summary),) = summarize([record(sent_bytes=None, published_bytes=None)]).items()
    assert summary.ratio is None
