"""Regret of the optimizer over time: how far its encodings are from the best that are known, and from the baseline."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.admin.reports.rings import Rings
from gateway.admin.reports.timeline import series_answer
from gateway.optimizer.decisions.advice import advise
from gateway.optimizer.decisions.stats import JudgedDecision
from gateway.optimizer.recording import RecordingReport
from gateway.optimizer.shadow.stats import TriedTraffic

INTERVAL_S: Final = 10.0
"""Time from one sample to the next."""

STREAMS: Final = 32
"""Streams of a sample, those of most bytes to their receivers: some 5 ms."""

REGRET_TEXTS: Final[dict[str, str]] = {
    "regret": "Time until receivers can use messages, over that by the best candidates of the newest trials, less 1: "
    "0.1 is 10 % more. Of the busiest streams, weighted by messages and receivers.",
    "predicted_over_baseline": "Predicted cost of the decisions in force over that of the baseline.",
    "measured_over_baseline": "Measured cost of them over that of the baseline, of those that were compared.",
    "in_force": "Decisions in force, of the same streams.",
}
"""Descriptions of the series."""


class RegretTimeline:
    """Recorder of the regret, and handler of requests for it.

    Args:
        recording: reports on the traffic history; ``None``: there is none, and so no regret.
        unix_s: the time of the samples.
    """

    def __init__(self, recording: RecordingReport | None, unix_s: Callable[[], float] = time.time) -> None:
        self._recording = recording
        self._unix_s = unix_s
        self._start_s = unix_s()
        self._rings = Rings([False] * len(REGRET_TEXTS))

    async def record(self) -> None:
        """Take samples until the task is cancelled."""
        while self._recording is not None:
            await self.sample()
            await asyncio.sleep(INTERVAL_S)

    async def sample(self) -> None:
        """Take one sample."""
        costs, decisions = list[tuple[float, float]](), list[JudgedDecision]()
        for traffic in () if self._recording is None else self._recording.busiest(STREAMS):
            costs += _costs_of(traffic)
            decisions += [each for each in traffic.decisions if each.verdict.in_force and each.decision.saved_share > 0]
            await asyncio.sleep(0)
        compared = [
            (verdict.measured_s, verdict.baseline_s)
            for verdict in (each.verdict for each in decisions)
            if verdict.measured_s is not None and verdict.baseline_s is not None
        ]
        predicted = [(each.decision.predicted_s, each.decision.baseline_s) for each in decisions]
        values = {
            "regret": _ratio(costs) - 1,
            "predicted_over_baseline": _ratio(predicted),
            "measured_over_baseline": _ratio(compared),
            "in_force": len(decisions),
        }
        self._rings.add(self._unix_s(), [float(values[name]) for name in REGRET_TEXTS])

    async def show(self, request: Request) -> JSONResponse:
        """Answer with the series behind ``since``, in samples of ``interval_s``.

        Raises:
            RequestRefused: ``INVALID_REQUEST``.
        """
        return series_answer(request, self._rings, REGRET_TEXTS, self._start_s, self._unix_s(), least_s=int(INTERVAL_S))


def _costs_of(traffic: TriedTraffic) -> list[tuple[float, float]]:
    """Return the time by the chain in use and by the best candidate, of each delivery class, times its messages."""
    found = []
    for record in traffic.classes:
        weight = record.receivers / (record.arrival_interval_s or 1.0)
        for advice in advise(traffic.trial, record):
            used_s, best_s = advice.instead_of_s, advice.best_s
            if advice.there and math.isfinite(used_s) and math.isfinite(best_s):
                # The best one may take longer, and less of the CPU.
                found.append((weight * max(used_s, best_s), weight * best_s))
    return found


def _ratio(pairs: list[tuple[float, float]]) -> float:
    """Return the sum of the first numbers over that of the second ones; NaN: there are none."""
    whole = sum([each for _, each in pairs])
    return sum([each for each, _ in pairs]) / whole if whole > 0 else math.nan
