"""Advice of shadow trials as lines for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from gateway.cli import text
from gateway.optimizer.decisions.advice import Advice, advise
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.optimizer.history.summary import DecisionSummary, SummaryKey
from gateway.protocol.codecs import CODEC_NAMES

HERE = "  (its receivers are here)"
"""End of the line of the link tier in which the receivers are."""


class LastTrials:
    """Last shadow trial of each stream of a history."""

    def __init__(self) -> None:
        self._trials: dict[tuple[str, str], ShadowTrial] = {}

    def add(self, trial: ShadowTrial) -> None:
        """Take a trial."""
        known = self._trials.get((trial.stream, trial.view))
        if known is None or trial.time_ns >= known.time_ns:
            self._trials[trial.stream, trial.view] = trial

    def advised(
        self, found: Mapping[SummaryKey, DecisionSummary]
    ) -> Iterator[tuple[ShadowTrial, TrafficRecord, list[Advice]]]:
        """Yield each delivery class that was tried: the trial, its newest record, and the advice."""
        newest: dict[tuple[str, ...], TrafficRecord] = {}
        for key, summary in found.items():
            place = (key.stream, key.view, key.format, *key.codecs)
            if place not in newest or summary.newest.time_ns >= newest[place].time_ns:
                newest[place] = summary.newest
        for record in newest.values():
            trial = self._trials.get((record.stream, record.view))
            if trial is not None:
                yield trial, record, list(advise(trial, record))


def advice_lines(trials: LastTrials, found: Mapping[SummaryKey, DecisionSummary]) -> list[str]:
    """Return the lines: one for each delivery class, and below it one for each link tier."""
    lines = []
    for trial, record, advices in trials.advised(found):
        if not advices:
            continue
        codecs = ", ".join([name for name in record.codecs if name in CODEC_NAMES]) or "no codec"
        receivers = text.count(record.receivers, "receiver")
        tried = f"{len(trial.tried)} encodings tried on {text.size(trial.sample_bytes)}"
        lines.append(text.printable(f"{trial.stream} {trial.view}".strip() + f": {receivers} with {codecs}; {tried}"))
        lines += [f"  {text.printable(each.words)}{HERE if each.there else ''}" for each in advices]
    return lines


def advice_json(trials: LastTrials, found: Mapping[SummaryKey, DecisionSummary]) -> list[dict[str, Any]]:
    """Return each delivery class that was tried, with the trial and the advice for each link tier."""
    return [
        {
            **asdict(trial),
            "codecs": record.codecs,
            "chain": record.chain,
            "receivers": record.receivers,
            "advice": [{**asdict(each), "words": each.words} for each in advices],
        }
        for trial, record, advices in trials.advised(found)
    ]
