"""The report on decisions: each with its reason and figures, of the table or of the history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.decision_report import ReportedDecision, decision_report, report_json, report_lines
from gateway.connections.link_tier import TIERS
from gateway.optimizer.decisions.decision import Decision, DecisionKey
from gateway.optimizer.decisions.decision_file import NAME
from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.optimizer.decisions.guard import GuardVerdict
from gateway.optimizer.history.reading import ReadingTally
from gateway.optimizer.learning.optimized_protocol import learn_from_history
from gateway.protocol.encoding import Chain
from tests.optimizer.learning.test_replay import SLOW, history, record


def test_decisions_of_the_history_are_told_with_reason_and_figures(tmp_path: Path) -> None:
    used = record(1, SLOW, chain="lz4", published_bytes=1000, sent_bytes=350, encode_s=1e-6)
    lines = report_lines(decision_report(tmp_path, [*history(SLOW), *[used] * 300]))
    head, receivers, reason, source, predicted, measured = lines
    assert head == "wf/1: pco:8"
    assert receivers.startswith("  for receivers at 2 Mbit/s, which decode")
    assert reason.startswith("  because pco:8 would take")
    assert source == "  by a trial of all candidates"
    assert predicted.endswith(" of the bytes")
    assert "less than by samples alone" in predicted
    assert measured.endswith(", 0.35 of the bytes, by lz4, as most of the last messages went")


def test_decisions_that_the_gateway_has_written_come_with_their_verdicts(tmp_path: Path) -> None:
    ((key, decision),) = learn_from_history(history(SLOW)).strategy
    table = DecisionTable()
    table.put(key, decision)
    verdict = GuardVerdict(True, 12, 0.75, 1.0)
    table.judge(key, verdict)
    (tmp_path / NAME).write_bytes(table.to_json())
    found = decision_report(tmp_path, history(SLOW)[:1])
    assert list(report_lines(found))[-1] == f"  checked: {verdict.words}"
    (fields,) = json.loads(report_json(found, ReadingTally()))["decisions"]
    assert fields["verdict"]["words"] == verdict.words
    assert (fields["chain"], fields["used"], fields["measured_s"]) == ("pco:8", "none", None)


def test_decisions_that_cannot_be_read_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).write_bytes(b"{")
    assert len(decision_report(tmp_path, history(SLOW))) == 1
    assert "is left out: it is not JSON" in caplog.text


def test_without_decisions_the_report_says_what_they_take(tmp_path: Path) -> None:
    (line,) = report_lines(decision_report(tmp_path, []))
    assert line.startswith("No decisions")


def test_the_choice_of_the_baseline_is_not_said_to_be_checked(tmp_path: Path) -> None:
    key = DecisionKey("wf/1", frozenset({"lz4"}), TIERS[-1].name, "frys-js")
    decision = Decision(Chain(False, "lz4"), None, 0.5, 0.5, "as the baseline: no candidate takes less", "baseline")
    found = [ReportedDecision(key, decision, None, GuardVerdict(True, 0, None, None))]
    assert list(report_lines(found)) == [
        "wf/1: lz4",
        "  for frys-js receivers that keep up, which decode lz4",
        "  as the baseline: no candidate takes less",
        "  by samples alone (the baseline): no candidate saves enough",
        "  predicted cost: 500.00 ms, as by samples alone",
    ]
