"""Metrics of the traffic history."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from gateway.admin.reports.history_metrics import TrafficHistoryCollector
from tests.admin.reports.test_optimizer import TRIALS, StoodStill
from tests.layout import ROOT


def lines() -> list[str]:
    registry = CollectorRegistry()
    registry.register(TrafficHistoryCollector(StoodStill(TRIALS)))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_the_operations_page_names_them() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    there = {re.split(r"[{ ]", line)[0] for line in lines()}
    assert set(re.findall(r"`(frys_traffic_\w+)`", page)) == there


def test_each_record_counts_by_its_fate() -> None:
    assert lines() == [
        'frys_traffic_records_total{fate="written"} 4.0',
        'frys_traffic_records_total{fate="dropped"} 2.0',
        'frys_traffic_records_total{fate="failed"} 2.0',
        'frys_traffic_records_total{fate="lost"} 1.0',
        "frys_traffic_records_waiting 1.0",
        "frys_traffic_unsampled_messages_total 7.0",
        "frys_traffic_history_bytes 900.0",
        "frys_traffic_history_failing 1.0",
        "frys_traffic_writer_starts_total 2.0",
        'frys_traffic_trials_total{fate="tried"} 11.0',
        'frys_traffic_trials_total{fate="failed"} 1.0',
        'frys_traffic_trials_total{fate="lost"} 2.0',
        'frys_traffic_trials_total{fate="dropped"} 3.0',
        "frys_traffic_probes_total 6.0",
        "frys_traffic_trial_cpu_seconds_total 1.5",
        "frys_traffic_drifts_total 4.0",
        "frys_traffic_trial_worker_starts_total 2.0",
        "frys_traffic_decisions_followed 1.0",
        "frys_traffic_decisions_in_force 3.0",
        "frys_traffic_decision_changes_total 6.0",
        "frys_traffic_decisions_taken_back_total 1.0",
        "frys_traffic_model_trials 40.0",
        "frys_traffic_model_fits_total 3.0",
        "frys_traffic_model_cpu_seconds_total 2.5",
        "frys_traffic_model_starts_total 1.0",
        "frys_traffic_predictions_total 8.0",
    ]
