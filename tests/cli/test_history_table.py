"""Summary of a traffic history as a table, and as JSON."""

from __future__ import annotations

import json

from rich.console import Console

from gateway.cli.advice_lines import LastTrials
from gateway.cli.history_table import COLUMNS, json_of, table_of, totals_of
from gateway.optimizer.history.reading import ReadingTally
from gateway.optimizer.history.record import PayloadFeatures
from gateway.optimizer.history.summary import summarize
from tests.optimizer.history.records import record

FEATURES = PayloadFeatures(zero_share=0.5, plane_entropy_bits=(7.5, 2.0))


def lines_of(*records: object) -> list[str]:
    console = Console(width=250)
    with console.capture() as captured:
        console.print(table_of(summarize(records)))  # type: ignore[arg-type]
    return captured.get().splitlines()


def test_a_decision_is_a_line() -> None:
    head, line = lines_of(
        record(1, rtt_s=0.01, goodput_bytes_per_s=2e6, decode_s_per_byte=1e-9, client="agent py", features=FEATURES)
    )
    assert [title for title in COLUMNS if title not in head] == []
    for cell in ("wf/1", "zstd:1", "float32[64, 4]", "0.250", "250.00 ms", "10.00 ms", "2.0 MB/s", "50%", "agent py"):
        assert cell in line
    assert "1.00 ms/MB" in line


def test_what_is_not_known_is_a_dash_and_texts_of_clients_do_no_harm() -> None:
    unknown = record(1, sent_bytes=None, published_bytes=None, encode_s=None, tensors=0, client="\x1b[2J")
    _, line = lines_of(unknown)
    assert line.count(" - ") >= 6
    assert "\x1b" not in line


def test_all_figures_are_in_the_json() -> None:
    found = json.loads(json_of(summarize([record(1), record(1, features=FEATURES)]), LastTrials(), ReadingTally(1, 2)))
    assert (found["files"], found["records"], found["damaged_bytes"]) == (1, 2, 0)
    (decision,) = found["decisions"]
    assert (decision["stream"], decision["chain"], decision["records"]) == ("wf/1", "zstd:1", 2)
    assert decision["ratio"] == 0.25
    assert decision["first"].startswith("2023-11-14T22:13:20")
    assert decision["rtt_s"] is None
    assert decision["features"]["plane_entropy_bits"] == [7.5, 2.0]


def test_every_time_that_a_record_can_have_is_shown() -> None:
    found = json.loads(
        json_of(summarize([record(1, time_ns=0), record(1, time_ns=2**64 - 2)]), LastTrials(), ReadingTally())
    )
    assert found["decisions"][0]["first"].startswith("1970-01-01T00:00:00")
    assert found["decisions"][0]["last"].startswith("2554-07-21T")


def test_the_totals_name_what_was_left_out() -> None:
    assert totals_of(ReadingTally(files=1, records=3)) == "3 records in 1 file"
    assert totals_of(ReadingTally(2, 1, 1500, 1, 1)) == (
        "1 record in 2 files; 1,500 damaged bytes left out; 1 record of another kind left out; 1 file unreadable"
    )
