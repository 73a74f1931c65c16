"""Report on decisions: chain, reason, predicted and measured cost, and verdict of each, in words and as JSON."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from gateway.cli import text
from gateway.connections.link_tier import TIERS
from gateway.optimizer.decisions.decision import Decision, DecisionKey, DecisionSource
from gateway.optimizer.decisions.decision_file import DecisionFile
from gateway.optimizer.decisions.decision_table import BadTable, DecisionTable, decision_fields
from gateway.optimizer.decisions.guard import GuardVerdict
from gateway.optimizer.history.reading import ReadingTally
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.optimizer.learning.communication_pattern_learner import CommunicationPatternLearner
from gateway.optimizer.learning.efficiency_evaluator import ClassEfficiency, evaluate_efficiency
from gateway.optimizer.learning.optimized_protocol import learn_from_history
from gateway.protocol.codecs import CODEC_NAMES

logger = logging.getLogger(__name__)


_SOURCES: Final[dict[DecisionSource, str]] = {
    "baseline": "samples alone (the baseline): no candidate saves enough",
    "model": "a model of other streams alone: this one was not tried",
    "probe": "a probe: a trial of a few cheap candidates",
    "probe and model": "a probe (a trial of a few cheap candidates), and a model of other streams for the rest",
    "trial": "a trial of all candidates",
    "trial and model": "a trial of the candidates that there was time for, and a model of other streams for the rest",
}
"""Sources of decisions, in words."""


class ReportedDecision(NamedTuple):
    """Decision with all that is known of it."""

    key: DecisionKey
    decision: Decision
    efficiency: ClassEfficiency | None
    """Measured traffic of the class; ``None``: the history has none."""
    verdict: GuardVerdict | None
    """Verdict of the guard as of the last writing of the table; ``None``: the gateway has not followed it."""


def decision_report(directory: Path, events: Sequence[TrafficRecord | ShadowTrial]) -> list[ReportedDecision]:
    """Return the decisions of a gateway, or else those that follow from its history, sorted by stream.

    Args:
        directory: that of the traffic history. Decisions that cannot be read are left out, with a warning.
        events: the history.
    """
    written = _written(DecisionFile(directory))
    if written is None:
        protocol = learn_from_history(events)
        table, efficiency = protocol.strategy, protocol.efficiency
    else:  # no models are fitted
        learner = CommunicationPatternLearner()
        for event in events:
            if isinstance(event, TrafficRecord):
                learner.add(event)
        table, efficiency = written, evaluate_efficiency(learner.patterns(), written)
    measured = {each.key: each for each in efficiency.classes}
    found = [ReportedDecision(key, each, measured.get(key), table.verdicts.get(key)) for key, each in table]
    return sorted(found, key=lambda each: (*each.key._replace(codecs=frozenset()), sorted(each.key.codecs)))


def _written(file: DecisionFile) -> DecisionTable | None:
    """Return the decisions in a file; ``None``: there is no such file, or it holds no decisions."""
    try:
        return file.kept()
    except FileNotFoundError:
        return None
    except BadTable as error:
        logger.warning("%s is left out: %s", file.path, error)
    except OSError as error:
        logger.warning("%s is left out: %s", file.path, error.strerror)
    return None


def report_lines(found: Sequence[ReportedDecision]) -> Iterator[str]:
    """Yield the report: for each decision a line, and below it its receivers, the reason, the cost and the verdict."""
    if not found:
        yield (
            "No decisions: they take a shadow trial of a stream with traffic. The gateway makes trials beside a "
            "traffic history, unless trial_cpu_share is 0."
        )
    for key, decision, efficiency, verdict in found:
        chain = str(decision.chain) if decision.delta is None else f"{decision.delta}, whole: {decision.chain}"
        yield text.printable(f"{key.stream} {key.view}".strip() + f": {chain}")
        yield text.printable(f"  for {_receivers(key)}")
        because = "" if decision.saved_share <= 0 else "because "
        yield text.printable(f"  {because}{decision.reason}")
        yield f"  by {_SOURCES[decision.source]}"
        sent = _sent(decision.predicted_ratio)
        yield f"  predicted cost: {_compared(decision.predicted_s, decision.baseline_s)}{sent}"
        if efficiency is not None and efficiency.measured_s is not None:
            followed = "" if efficiency.is_followed else f", by {efficiency.used}, as most of the last messages went"
            sent = _sent(efficiency.measured_ratio)
            yield text.printable(f"  measured cost: {text.duration(efficiency.measured_s)}{sent}{followed}")
        # The choice of the baseline is not compared with itself.
        if verdict is not None and (verdict.pairs or decision.saved_share > 0):
            yield f"  checked: {verdict.words}"


def _sent(ratio: float | None) -> str:
    """Return the part of the bytes that is sent, in words; nothing if it is not known."""
    return "" if ratio is None else f", {ratio:.3g} of the bytes"


def _receivers(key: DecisionKey) -> str:
    """Return the receivers of a decision in words."""
    codecs = ", ".join([name for name in CODEC_NAMES if name in key.codecs]) or "no codec"
    # So are those called for which nothing has waited yet, whatever their links.
    place = "that keep up" if key.tier == TIERS[-1].name else f"at {key.tier}"
    return f"{key.sdk} receivers {place}, which decode {codecs}".strip()


def _compared(cost_s: float, baseline_s: float) -> str:
    """Return a cost beside that of the baseline."""
    cost, baseline = text.duration(cost_s), text.duration(baseline_s)
    if not cost_s < baseline_s:
        return f"{cost}, as by samples alone"
    return f"{cost}, {1 - cost_s / baseline_s:.0%} less than by samples alone ({baseline})"


def report_json(found: Sequence[ReportedDecision], tally: ReadingTally) -> str:
    """Return the report as one JSON object; a figure that is not known is null."""
    return orjson.dumps(
        {**asdict(tally), "decisions": [_fields(each) for each in found]}, option=orjson.OPT_INDENT_2
    ).decode()


def _fields(reported: ReportedDecision) -> dict[str, Any]:
    key, decision, efficiency, verdict = reported
    return {
        **decision_fields(key, decision),
        "used": None if efficiency is None else efficiency.used,
        "measured_s": None if efficiency is None else efficiency.measured_s,
        "measured_ratio": None if efficiency is None else efficiency.measured_ratio,
        "verdict": None if verdict is None else {**asdict(verdict), "words": verdict.words},
    }
