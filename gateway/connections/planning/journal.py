"""Journal: adjustments as lines of the log, one for a knob in a workflow, whatever the number of its receivers."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from gateway.connections.planning.adjust import SettingChange
from gateway.connections.planning.knob import Knob
from gateway.connections.planning.ledger import Adjustment, Verdict


class JournalLine(NamedTuple):
    """Line of the log."""

    level: int
    text: str


class _Told(NamedTuple):
    name: str
    words: str


def lines_of(changes: Iterable[SettingChange], judged: Iterable[Adjustment]) -> list[JournalLine]:
    """Return what one look has changed and judged: a line a knob and workflow, with counts and one example.

    Args:
        changes: settings that are put in force.
        judged: adjustments that have their verdict.
    """
    lines: dict[tuple[Knob, str], dict[str, list[_Told]]] = defaultdict(lambda: defaultdict(list))
    for change in changes:
        outcomes = lines[change.site.knob, change.scope]
        outcomes[f"set to {change.value:g}"].append(_Told(change.site.name, change.reason))
    for adjustment in judged:
        if adjustment.verdict is Verdict.STANDING:
            continue  # told as a change
        outcomes = lines[adjustment.site.knob, adjustment.scope]
        outcomes[adjustment.verdict.replace("_", " ")].append(_Told(adjustment.site.name, adjustment.words))
    return [_line(knob, scope, outcomes) for (knob, scope), outcomes in lines.items()]


def _line(knob: Knob, scope: str, outcomes: dict[str, list[_Told]]) -> JournalLine:
    counts = ", ".join([f"{len(told)} {outcome}" for outcome, told in outcomes.items()])
    most = max(outcomes.values(), key=len)
    example = f"{most[0].name}: {most[0].words}"
    if len(most) > 1:
        example = f"for example {example}"
    level = logging.DEBUG if outcomes.keys() == {Verdict.VOID.value} else logging.INFO
    return JournalLine(level, f"{knob} in {scope}: {counts}; {example}")
