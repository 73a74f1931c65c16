"""Rule of sender credits: who sends to a receiver that cannot keep up waits before its queue is long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.connections.planning.context import Context, FanInFacts
from gateway.connections.planning.knob import Knob, Measure, Site

LATE_S: Final = 0.25
"""Time that events wait in the queue of a receiver from which its senders wait instead."""

WAIT_S: Final = 0.1
"""Time in which a receiver takes the credit: it has something to take until its senders know that they may go on."""

LEAST_SENDERS: Final = 2

CREDITS_BYTES: Final = (16 * 1024, 4 * 1024 * 1024)
"""The smallest credit and the largest one."""

KEPT_UP_S: Final = 10.0
"""Time for which no sender must have had to wait before it is looked whether the credit is needed."""

APART: Final = 4
"""Ratio of the credit that is called for to the one in force from which it is changed."""


def sender_credits(context: Context, knobs: Mapping[str, tuple[Knob, ...]]) -> list[Measure]:
    """Return the receivers whose senders are to wait sooner.

    Args:
        context: the facts.
        knobs: knobs that are tried for each workflow whose pattern is clear.
    """
    measures = []
    for receiver in context.fan_ins:
        site = Site(Knob.SENDER_CREDIT, receiver.client_id, receiver.peer)
        in_force = context.setting(site)
        if Knob.SENDER_CREDIT in knobs.get(receiver.workflow, ()) and _is_wanted(receiver, in_force):
            credit = _credit_of(receiver.taken_bytes_per_s)
            if in_force and credit / APART < in_force < credit * APART:
                credit = int(in_force)
            measures.append(Measure(site, float(credit), receiver.workflow, _reason(receiver, credit)))
    return measures


def _is_wanted(receiver: FanInFacts, in_force: float) -> bool:
    if receiver.senders < LEAST_SENDERS or not receiver.taken_bytes_per_s:
        return False
    if in_force:
        return receiver.kept_up_s < KEPT_UP_S
    return receiver.wait_s is not None and receiver.wait_s >= LATE_S


def _credit_of(taken_bytes_per_s: float) -> int:
    """Return the bytes of some wait at a rate, as a power of two, so that it seldom changes."""
    least, most = CREDITS_BYTES
    return min(max(1 << round(taken_bytes_per_s * WAIT_S).bit_length(), least), most)


def _reason(receiver: FanInFacts, credit: int) -> str:
    wait = "" if receiver.wait_s is None else f", and they wait {receiver.wait_s * 1e3:.0f} ms for it"
    return (
        f"it takes {receiver.taken_bytes_per_s / 1e3:.0f} kB/s of the events of {receiver.senders} senders or"
        f" more{wait}: their publishes wait once {credit} bytes do"
    )
