"""Ledger: bounded, with counts of all adjustments."""

from gateway.connections.planning.cost import Cost
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.ledger import MAX_ADJUSTMENTS, Adjustment, Ledger, Verdict


def adjustment(number: int, verdict: Verdict = Verdict.KEPT) -> Adjustment:
    """Return an adjustment."""
    site = Site(Knob.PACING, "viewer", 7)
    return Adjustment(number, site, 0.0, 1.0, 1.0, 5.0, "a slow link", Cost(), Cost(), verdict, "better")


def test_adjustments_are_listed_in_order() -> None:
    ledger = Ledger()
    for number in range(3):
        ledger.enter(adjustment(number))
    assert [entry.number for entry in ledger] == [0, 1, 2]


def test_of_very_many_adjustments_the_last_ones_are_kept_and_all_are_counted() -> None:
    ledger = Ledger()
    for number in range(MAX_ADJUSTMENTS + 10):
        ledger.enter(adjustment(number, Verdict.ROLLED_BACK))
    assert len(ledger) == MAX_ADJUSTMENTS
    assert next(iter(ledger)).number == 10
    assert ledger.counts[Verdict.ROLLED_BACK] == MAX_ADJUSTMENTS + 10
    assert ledger.counts[Verdict.KEPT] == 0
