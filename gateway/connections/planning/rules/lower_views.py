"""Rule of lower views: receivers get those that they have named where their links carry less than the others."""

from __future__ import annotations

from typing import Final

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.planning.context import Context, ReceiverFacts, ViewFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.paces import KEPT_UP_S, LATE_S

SHORT: Final = 0.9
"""Part of the bytes of the views that a receiver asked for, below which its link carries too little."""

LESS: Final = 0.5
"""Part of these bytes that lower views take at most, if they are to be worth it."""

LOST_S: Final = 2.0
"""Time in which a version must have been left out: before that the receiver gets everything."""

MAX_TIMES: Final = 30.0
"""Times :data:`~gateway.connections.planning.rules.paces.KEPT_UP_S` for which a receiver of lower views must get every
version, at most, before it is looked whether its link carries the others: as many as these exceed what it carried. Each
look costs it some seconds of old states."""


def lower_views(context: Context) -> list[Measure]:
    """Return the receivers that are to get their lower views."""
    measures = []
    for receiver in context.receivers:
        if receiver.views is None:
            continue
        site = Site(Knob.VIEW, receiver.client_id, receiver.peer)
        reason = _reason(receiver, receiver.views, lowered=bool(context.setting(site)))
        if reason:
            measures.append(Measure(site, 1.0, receiver.workflow, reason))
    return measures


def _reason(receiver: ReceiverFacts, views: ViewFacts, *, lowered: bool) -> str:
    """Return why a receiver is to get its lower views; empty: it is not."""
    full, lower, goodput = views
    taker = "its system reads" if receiver.bottleneck is Bottleneck.READER else "its link carries"
    carried = f"{taker} {goodput / 1e3:.0f} kB/s"
    needed = f"the states that it asked for take {full / 1e3:.0f} kB/s, and {lower / 1e3:.0f} kB/s by the lower views"
    reason = f"{carried}; {needed}"
    if lowered:
        return reason if receiver.kept_up_s < KEPT_UP_S * _times_of(full, goodput) else ""
    if receiver.program is not None or goodput >= SHORT * full or lower > LESS * full:
        return ""  # a program that is behind reads no faster for smaller messages
    is_behind = receiver.kept_up_s < LOST_S or receiver.excess_delay_s >= LATE_S
    return reason if is_behind else ""


def _times_of(full: float, goodput: float) -> float:
    return min(max(1.0, full / goodput), MAX_TIMES) if goodput else MAX_TIMES
