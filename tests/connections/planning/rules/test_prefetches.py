"""Rule of prefetches: streams that several have read, the most wanted first, until nobody reads them any more."""

from __future__ import annotations

from gateway.connections.planning.context import Context, PastFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.prefetches import FEW, LEAST_JOINS, UNUSED_S, prefetches


def wanted(*pasts: PastFacts) -> list[Measure]:
    return prefetches(Context(0.0, pasts=pasts))


def missed(name: str, joins: int) -> PastFacts:
    return PastFacts(f"lab/{name}", "lab", joins, loaded=False, idle_s=0.1)


def test_a_stream_that_several_have_read_from_the_store_is_loaded_for_others() -> None:
    (measure,) = wanted(missed("tasks", 3), missed("log", LEAST_JOINS - 1))
    assert measure == Measure(
        Site(Knob.PREFETCH, "lab/tasks"),
        1.0,
        "lab",
        "3 clients that have joined lab read its past from the store: others are to come",
    )


def test_the_few_that_most_have_read_come_first() -> None:
    measures = wanted(*[missed(f"s{joins}", joins) for joins in range(2, 20)])
    assert [measure.site.name for measure in measures] == [f"lab/s{joins}" for joins in range(19, 19 - FEW, -1)]


def test_a_tail_stays_until_nobody_has_read_it_for_a_while() -> None:
    tail = PastFacts("lab/tasks", "lab", 0, loaded=True, idle_s=UNUSED_S - 1)
    (measure,) = wanted(tail)
    assert measure.reason == "clients that join lab read its past"
    assert not wanted(tail._replace(idle_s=UNUSED_S))


def test_an_overloaded_gateway_keeps_nothing_for_those_to_come() -> None:
    pasts = (missed("tasks", 3), PastFacts("lab/log", "lab", 0, loaded=True, idle_s=0.0))
    assert len(wanted(*pasts)) == 2
    assert not prefetches(Context(0.0, overloaded=True, pasts=pasts))
