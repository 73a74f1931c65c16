"""Rule of priorities: streams of few bytes go before others where they wait for the turns of these."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from gateway.connections.planning.context import Context, QueuedFacts
from gateway.connections.planning.knob import Knob, Measure, Site

LATE_S: Final = 0.2
ENDS_S: Final = 0.1
"""Times of a round of the other queues of a receiver from which a stream is preferred, and below which that ends."""

LIGHT: Final = 0.25
"""Part of the turn of another queue that the messages of a whole round take at most, if a stream is to be preferred:
the others hardly wait for it then, and of streams that are alike none is."""

STILL_LIGHT: Final = 0.5
"""The same of a stream that is preferred."""

CALM_S: Final = 10.0
"""Time for which rounds must have been short before it is looked whether a preference is needed."""

FEW: Final = 8
"""Streams of one workflow that are preferred, at most: if all were, none would be."""


def priorities(context: Context) -> list[Measure]:
    """Return the streams that are to be served first where receivers lag: those that are, and the lightest others."""
    by_workflow = defaultdict[str, list[tuple[bool, QueuedFacts]]](list)
    for queued in context.queued:
        preferred = bool(context.setting(Site(Knob.PRIORITY, queued.stream)))
        if _is_wanted(queued, preferred=preferred):
            by_workflow[queued.workflow].append((not preferred, queued))
    return [
        Measure(Site(Knob.PRIORITY, queued.stream), 1.0, workflow, _reason(queued))
        for workflow, wanted in by_workflow.items()
        for _, queued in sorted(wanted, key=lambda each: (each[0], each[1].bytes_per_s, each[1].stream))[:FEW]
    ]


def _is_wanted(queued: QueuedFacts, *, preferred: bool) -> bool:
    round_bytes = queued.bytes_per_s * queued.round_s
    if preferred:
        return queued.calm_s < CALM_S and round_bytes <= STILL_LIGHT * max(queued.turn_bytes, 1.0)
    if not queued.bytes_per_s or queued.round_s < LATE_S or round_bytes > LIGHT * queued.turn_bytes:
        return False
    return queued.wait_s is not None and queued.wait_s >= ENDS_S


def _reason(queued: QueuedFacts) -> str:
    return (
        f"its {queued.bytes_per_s / 1e3:.1f} kB/s wait for turns of other streams that take {queued.round_s * 1e3:.0f}"
        f" ms together, at {queued.receivers} receivers that are behind"
    )
