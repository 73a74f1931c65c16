"""Rule of pacing: states leave as they are read where the link carries less than is published."""

from __future__ import annotations

from typing import Final

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.planning.context import Context, ReceiverFacts
from gateway.connections.planning.knob import Knob, Measure, Site

LATE_S: Final = 0.1
"""Queue delay from which versions of states leave as they are read."""

KEPT_UP_S: Final = 10.0
"""Time for which a paced receiver must get every version before it is looked whether it need be paced."""


def paces(context: Context) -> list[Measure]:
    """Return the receivers whose links carry less than the states that are published to them."""
    measures = []
    for receiver in context.receivers:
        site = Site(Knob.PACING, receiver.client_id, receiver.peer)
        reason = _pace_reason(receiver, paced=bool(context.setting(site)))
        if reason:
            measures.append(Measure(site, 1.0, receiver.workflow, reason))
    return measures


def _pace_reason(receiver: ReceiverFacts, *, paced: bool) -> str:
    """Return why a receiver is to be paced; empty: it is not."""
    demand, goodput = receiver.demand_bytes_per_s, receiver.goodput_bytes_per_s
    taker = "its link carries"
    if receiver.bottleneck is Bottleneck.READER:
        state = receiver.program
        where = "" if state is None else f", {state.behind} versions behind in {state.stream},"
        taker = f"its program{where} reads"
    carried = f"{demand / 1e3:.0f} kB/s of states are published to it, and {taker} {goodput / 1e3:.0f} kB/s"
    if paced:
        return carried if receiver.kept_up_s < KEPT_UP_S else ""
    if not demand or receiver.excess_delay_s < LATE_S:
        return ""
    return f"what is sent to it waits {receiver.excess_delay_s * 1e3:.0f} ms on its way; {carried}"
