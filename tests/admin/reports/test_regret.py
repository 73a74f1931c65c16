"""Regret over time: how far encodings are from the best, and from the baseline."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request

from gateway.admin.reports.regret import REGRET_TEXTS, RegretTimeline
from gateway.errors import RequestRefused
from gateway.optimizer.decisions.advice import advise
from gateway.optimizer.decisions.decision import Decision, DecisionKey
from gateway.optimizer.decisions.guard import GuardVerdict
from gateway.optimizer.decisions.stats import JudgedDecision
from gateway.optimizer.history.record import TrafficRecord
from gateway.optimizer.shadow.stats import TriedTraffic
from gateway.protocol.encoding import PLAIN, Chain
from tests.admin.reports.test_optimizer import TRIALS, StoodStill
from tests.optimizer.history.records import record, shadow_trial

KEY = DecisionKey("wf/1", frozenset({"lz4"}), "20 Mbit/s", "frys-python")


def judged(predicted_s: float, measured_s: float | None, *, in_force: bool = True) -> JudgedDecision:
    baseline_s = None if measured_s is None else 0.2
    verdict = GuardVerdict(in_force, 0 if measured_s is None else 3, measured_s, baseline_s)
    return JudgedDecision(KEY, Decision(Chain(codec="lz4"), None, predicted_s, 0.1, "tried"), verdict)


async def shown(timeline: RegretTimeline, query: str = "") -> dict[str, Any]:
    request = Request({"type": "http", "method": "GET", "query_string": query.encode(), "headers": []})
    found = json.loads(bytes((await timeline.show(request)).body))
    assert isinstance(found, dict)
    assert found["series"].keys() == REGRET_TEXTS.keys()
    return found


async def test_without_a_traffic_history_there_is_no_regret() -> None:
    timeline = RegretTimeline(None)
    await timeline.record()
    assert (await shown(timeline))["times_s"] == []


async def test_the_chain_in_use_is_compared_with_the_best() -> None:
    trial, by_plain = shadow_trial(), record(chain=str(PLAIN), tier="20 Mbit/s", payload_bytes=524_288)
    (there,) = [each for each in advise(trial, by_plain) if each.there]
    assert there.instead_of_s > there.best_s

    async def regret_of(*classes: TrafficRecord) -> float | None:
        timeline = RegretTimeline(StoodStill(TRIALS, [TriedTraffic(trial, classes)]), lambda: 1000.0)
        await timeline.sample()
        regret = timeline._rings.since(0, 1).values[0][0]
        return None if math.isnan(regret) else float(regret)

    worst = there.instead_of_s / there.best_s - 1
    by_best = replace(by_plain, chain=there.best)
    assert await regret_of(by_plain) == pytest.approx(worst)
    assert await regret_of(by_best) == pytest.approx(0.0)
    assert await regret_of(by_best, by_plain) == pytest.approx(worst / 2), "as many messages and receivers"
    assert await regret_of(by_best, replace(by_plain, receivers=18)) == pytest.approx(0.9 * worst)
    assert await regret_of() is None


async def test_decisions_in_force_are_compared_with_the_baseline() -> None:
    decisions = (judged(0.05, 0.1), judged(0.07, None), judged(0.01, 0.9, in_force=False), judged(0.1, None))
    unix_s = 1000.0
    report = StoodStill(TRIALS, [TriedTraffic(shadow_trial(1), (), decisions=decisions)])
    timeline = RegretTimeline(report, lambda: unix_s)
    for _ in range(3):
        await timeline.sample()
        unix_s += 10.0
    answer = await shown(timeline)
    assert (answer["interval_s"], len(answer["times_s"])) == (10, 2)
    assert answer["series"]["predicted_over_baseline"] == [0.6, 0.6]
    assert answer["series"]["measured_over_baseline"] == [0.5, 0.5]
    assert answer["series"]["in_force"] == [2.0, 2.0]
    assert answer["series"]["regret"] == [None, None]


@pytest.mark.parametrize("query", ["interval_s=1", "interval_s=11", "since=x", "limit=1"])
async def test_wrong_questions(query: str) -> None:
    with pytest.raises(RequestRefused):
        await shown(RegretTimeline(None), query)
