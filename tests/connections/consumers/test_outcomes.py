"""Outcomes of units at one consumer, from the moment they are known until they are returned."""

from __future__ import annotations

from gateway.connections.consumers.outcomes import Buried, Expired, OutcomeLog, Released, Retried
from tests.connections.consumers.test_in_flight import unit_at


def test_outcomes_are_returned_once_with_units_of_a_kind_together() -> None:
    log = OutcomeLog()
    assert log.take() == []
    first, second, late, hard, again = map(unit_at, range(5))
    log.released.append(first)
    log.expired.append(late)
    log.add(Buried(hard, 5, "too hard"))
    log.released.append(second)
    log.add(Retried(again))
    assert log.take() == [
        Released([first, second]),
        Expired([late]),
        Buried(hard, 5, "too hard"),
        Retried(again),
    ]
    assert log.take() == []


def test_what_was_returned_does_not_change_any_more() -> None:
    log = OutcomeLog()
    log.released.append(unit_at(0))
    (outcome,) = log.take()
    log.released.append(unit_at(1))
    assert isinstance(outcome, Released)
    assert len(outcome.units) == 1
