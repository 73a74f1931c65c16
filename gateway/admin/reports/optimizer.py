"""Optimizer as the admin port shows it: counts of its traffic history, shadow trials, and decisions with verdicts."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.admin.http.query import check_names, integer_of, pattern_of
from gateway.optimizer.decisions.advice import Advice, advise
from gateway.optimizer.decisions.decision_table import decision_fields
from gateway.optimizer.decisions.stats import DecisionStats, JudgedDecision
from gateway.optimizer.history.stats import PayloadStoreStats
from gateway.optimizer.prediction.stats import PredictionStats
from gateway.optimizer.recording import RecordingReport
from gateway.optimizer.shadow.stats import TriedTraffic

SHOWN: Final = 16
"""Streams that are told of, unless another number is asked for."""
MAX_SHOWN: Final = 100
"""Streams that are told of at the most: each has some 10 KB."""


class OptimizerReport:
    """Handler of requests for the optimizer.

    Args:
        recording: reports on its traffic history; ``None``: it has none.
    """

    def __init__(self, recording: RecordingReport | None) -> None:
        self._recording = recording

    async def show(self, request: Request) -> JSONResponse:
        """Answer with the counts of the traffic history, and with the trials of the busiest streams.

        The parameter ``pattern`` asks for other streams, ``limit`` for another number of them.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, ``INVALID_NAME``.
        """
        check_names(request, "pattern", "limit")
        pattern = pattern_of(request)
        limit = integer_of(request, "limit", SHOWN, least=1, most=MAX_SHOWN)
        recording = self._recording
        if recording is None:
            return JSONResponse(dict.fromkeys(("history", "payloads", "trials", "decisions", "predictions")))
        trials, busiest = recording.trial_stats(), []
        for traffic in recording.busiest(limit, pattern):
            busiest.append(_stream(traffic))
            await asyncio.sleep(0)  # each takes some 200 us
        return JSONResponse(
            {
                "history": asdict(recording.stats()),
                "payloads": _counts(recording.payload_stats()),
                "trials": None if trials is None else {**asdict(trials), "busiest": busiest},
                "decisions": _counts(recording.decision_stats()),
                "predictions": _counts(recording.prediction_stats()),
            }
        )


def _counts(stats: PayloadStoreStats | DecisionStats | PredictionStats | None) -> dict[str, Any] | None:
    return None if stats is None else asdict(stats)


def _stream(traffic: TriedTraffic) -> dict[str, Any]:
    trial = asdict(traffic.trial)
    classes = [
        {
            "codecs": record.codecs,
            "tier": record.tier,
            "sdk": record.sdk,
            "chain": record.chain,
            "receivers": record.receivers,
            "goodput_bytes_per_s": record.goodput_bytes_per_s,
            "advice": [_advice(each) for each in advise(traffic.trial, record)],
        }
        for record in traffic.classes
    ]
    decisions = [_decision(each) for each in traffic.decisions]
    return {**trial, "probed": traffic.probed, "classes": classes, "decisions": decisions}


def _decision(judged: JudgedDecision) -> dict[str, Any]:
    verdict = {**asdict(judged.verdict), "words": judged.verdict.words}
    return {**decision_fields(judged.key, judged.decision), "verdict": verdict}


def _advice(advice: Advice) -> dict[str, Any]:
    return {**asdict(advice), "words": advice.words}
