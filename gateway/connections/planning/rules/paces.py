"""Rule of pacing: states leave as they are read where the link carries less than is published."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.planning.context import Context, ReceiverFacts, SlowStart
from gateway.connections.planning.knob import Knob, Measure, Site

LATE_S: Final = 0.1
"""Queue delay from which versions of states leave as they are read."""

KEPT_UP_S: Final = 10.0
"""Time for which a paced receiver must get every version before it is looked whether it need be paced."""

SLOW_BURST_S: Final = 0.15
STILL_SLOW_S: Final = 0.075
"""Times of a burst on the line from which a receiver is paced before versions come faster than the line carries them,
and down to which it stays so: a burst is over before it has been measured."""


def paces(context: Context) -> list[Measure]:
    """Return the receivers whose links carry less than the states that are published to them, or would in a burst."""
    measures = []
    for receiver in context.receivers:
        site = Site(Knob.PACING, receiver.client_id, receiver.peer)
        paced = bool(context.setting(site))
        if reason := _reason(receiver, paced=paced):
            measures.append(Measure(site, 1.0, receiver.workflow, reason))
        elif receiver.burst_s >= (STILL_SLOW_S if paced else SLOW_BURST_S):
            reason = f"a burst of its states would wait {receiver.burst_s * 1e3:.0f} ms on its line"
            measures.append(Measure(site, 1.0, receiver.workflow, reason, precaution=True))
        elif paced and context.setting(site._replace(knob=Knob.VIEW)):
            reason = "it gets lower views, and those that it asked for are to be paced when they are tried again"
            measures.append(Measure(site, 1.0, receiver.workflow, reason, precaution=True))
    known = {measure.site for measure in measures}
    return measures + [measure for measure in first_paces(context.slow_starts) if measure.site not in known]


def first_paces(slow_starts: Iterable[SlowStart]) -> list[Measure]:
    """Return the receivers that have just fallen behind, and for which so much is on its way that its age is clear."""
    return [
        Measure(
            Site(Knob.PACING, each.client_id, each.peer),
            1.0,
            each.workflow,
            f"{each.waiting_bytes / 1e3:.0f} kB are on their way to it, and its system takes"
            f" {each.goodput_bytes_per_s / 1e3:.0f} kB/s",
            precaution=True,
            known_cost_s=each.wait_s,
        )
        for each in slow_starts
        if each.wait_s >= LATE_S and each.queued_s >= LATE_S / 2
    ]


def _reason(receiver: ReceiverFacts, *, paced: bool) -> str:
    """Return why a receiver is to be paced by what it has got so far; empty: it is not."""
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
