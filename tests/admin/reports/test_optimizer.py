"""Optimizer as the admin port shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest
from starlette.requests import Request

from gateway.admin.document.schemas import SCHEMAS
from gateway.admin.reports.optimizer import MAX_SHOWN, SHOWN, OptimizerReport
from gateway.errors import RequestRefused
from gateway.optimizer.decisions.decision import Decision, DecisionKey
from gateway.optimizer.decisions.guard import GuardVerdict
from gateway.optimizer.decisions.stats import DecisionStats, JudgedDecision
from gateway.optimizer.history.stats import PayloadStoreStats, TrafficHistoryStats
from gateway.optimizer.prediction.stats import PredictionStats
from gateway.optimizer.recording import RecordingReport
from gateway.optimizer.shadow.stats import ShadowTrialStats, TriedTraffic
from gateway.protocol.encoding import Chain
from gateway.protocol.names import Pattern
from tests.optimizer.history.records import record, shadow_trial

STATS = TrafficHistoryStats(
    directory="traffic",
    sample_interval_s=1.0,
    recorded=10,
    written=4,
    waiting=1,
    dropped=2,
    failed=2,
    lost=1,
    unsampled_messages=7,
    held_bytes=900,
    writer_starts=2,
    writing=True,
    failure="No space left on device",
)


PAYLOADS = PayloadStoreStats(
    directory="traffic/payloads", taken=5, written=3, unwritten=1, unreadable=1, held_bytes=700, failure=""
)


TRIALS = ShadowTrialStats(
    cpu_share=0.05,
    cpu_s=1.5,
    tried=11,
    probed=6,
    failed=1,
    lost=2,
    dropped=3,
    drifts=4,
    streams=5,
    worker_starts=2,
    working=True,
    failure="MemoryError",
)


DECISIONS = DecisionStats(following=True, failure="", streams=4, in_force=3, table=9, changes=6, taken_back=1)


PREDICTIONS = PredictionStats(
    model_trials=40, fits=3, cpu_s=2.5, predicted=8, process_starts=1, working=True, failure=""
)


class StoodStill(RecordingReport):
    """Report whose counts do not change."""

    def __init__(self, trials: ShadowTrialStats | None = None, busiest: Sequence[TriedTraffic] = ()) -> None:
        self._trials = trials
        self._busiest = busiest

    def stats(self) -> TrafficHistoryStats:
        return STATS

    def payload_stats(self) -> PayloadStoreStats | None:
        return None if self._trials is None else PAYLOADS

    def trial_stats(self) -> ShadowTrialStats | None:
        return self._trials

    def decision_stats(self) -> DecisionStats | None:
        return None if self._trials is None else DECISIONS

    def prediction_stats(self) -> PredictionStats | None:
        return None if self._trials is None else PREDICTIONS

    def busiest(self, most: int, pattern: Pattern | None = None) -> Sequence[TriedTraffic]:
        return [each for each in self._busiest if pattern is None or pattern.matches(each.trial.stream)][:most]


async def shown(report: OptimizerReport, query: str = "") -> dict[str, Any]:
    request = Request({"type": "http", "method": "GET", "query_string": query.encode(), "headers": []})
    response = await report.show(request)
    found = json.loads(bytes(response.body))
    assert isinstance(found, dict)
    return found


async def test_the_counts_of_the_traffic_history_are_shown() -> None:
    others = dict.fromkeys(("payloads", "trials", "decisions", "predictions"))
    assert await shown(OptimizerReport(StoodStill())) == {"history": asdict(STATS), **others}


async def test_other_streams_are_shown_by_pattern_and_limit() -> None:
    report = OptimizerReport(StoodStill(TRIALS, [TriedTraffic(shadow_trial(number), ()) for number in range(100)]))

    async def names(query: str) -> list[str]:
        return [each["stream"] for each in (await shown(report, query))["trials"]["busiest"]]

    assert len(await names("")) == SHOWN
    assert len(await names("limit=100")) == 100
    assert await names("pattern=wf/77") == ["wf/77"]
    assert await names("pattern=wf/*&limit=2") == ["wf/0", "wf/1"]


@pytest.mark.parametrize("query", ["limit=0", f"limit={MAX_SHOWN + 1}", "pattern=wf//a", "stream=wf/1"])
async def test_parameters_that_are_none_are_refused(query: str) -> None:
    with pytest.raises(RequestRefused):
        await shown(OptimizerReport(None), query)


async def test_no_traffic_history_is_null() -> None:
    nothing = dict.fromkeys(("history", "payloads", "trials", "decisions", "predictions"))
    assert await shown(OptimizerReport(None)) == nothing


async def test_shadow_trials_are_shown_with_what_they_advise() -> None:
    codecs, size = ("lz4", "zstd"), 524_288
    key = DecisionKey("wf/1", frozenset(codecs), "20 Mbit/s", "frys-python")
    decision = Decision(Chain(False, "zstd", 1), None, 0.1, 0.2, "half the bytes", "probe and model", 0.5)
    judged = JudgedDecision(key, decision, GuardVerdict(True, 3, 0.11, 0.22))
    records = (record(codecs=codecs, chain="none", payload_bytes=size, receivers=1),)
    tried = TriedTraffic(shadow_trial(), records, probed=True, decisions=(judged,))
    found = await shown(OptimizerReport(StoodStill(TRIALS, [tried])))
    (stream,) = found["trials"].pop("busiest")
    counts = {"trials": asdict(TRIALS), "decisions": asdict(DECISIONS), "predictions": asdict(PREDICTIONS)}
    assert found == {"history": asdict(STATS), "payloads": asdict(PAYLOADS), **counts}
    assert (stream["stream"], stream["sample_bytes"], stream["probed"]) == ("wf/1", 131_072, True)
    assert [each["chain"] for each in stream["tried"]] == ["none", "lz4", "zstd:1", "pco:8"]
    (delivery,) = stream["classes"]
    assert (delivery["codecs"], delivery["chain"], delivery["receivers"]) == (["lz4", "zstd"], "none", 1)
    assert delivery["advice"][1]["best"] == "zstd:1"
    assert delivery["advice"][1]["words"].startswith("zstd:1 would take 77.9 ms to a 20 Mbit/s receiver")
    (shown_decision,) = stream["decisions"]
    assert shown_decision == {
        "stream": "wf/1",
        "view": "",
        "codecs": ["lz4", "zstd"],
        "tier": "20 Mbit/s",
        "sdk": "frys-python",
        "chain": "zstd:1",
        "delta": None,
        "predicted_s": 0.1,
        "baseline_s": 0.2,
        "reason": "half the bytes",
        "source": "probe and model",
        "predicted_ratio": 0.5,
        "verdict": {
            "in_force": True,
            "pairs": 3,
            "measured_s": 0.11,
            "baseline_s": 0.22,
            "recess_s": 0.0,
            "words": "holds: 50 % less than the baseline in 3 pairs of blocks",
        },
    }
    assert set(shown_decision) == set(SCHEMAS["Decision"]["properties"])
    assert set(shown_decision["verdict"]) == set(SCHEMAS["Decision"]["properties"]["verdict"]["properties"])
    assert set(found["predictions"]) == set(SCHEMAS["Optimizer"]["properties"]["predictions"]["properties"])
    stated = SCHEMAS["TriedStream"]["properties"]
    assert set(stream) == set(stated)
    assert set(delivery) == set(stated["classes"]["items"]["properties"])
    assert set(delivery["advice"][0]) == set(stated["classes"]["items"]["properties"]["advice"]["items"]["properties"])
    assert {*found["trials"], "busiest"} == set(SCHEMAS["Optimizer"]["properties"]["trials"]["properties"])
