"""Rule of keyframes ahead: the states that most receivers join, those first that are encoded ahead already."""

from __future__ import annotations

from gateway.connections.planning.context import Context, JoinFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.keyframes_ahead import MOST, keyframes_ahead


def facts(name: str, joins: float = 3.0, period_s: float = 5.0, *, ahead: bool = False) -> JoinFacts:
    return JoinFacts(f"lab/{name}", "lab", joins, period_s, ahead)


def test_a_state_that_receivers_join_in_waves_is_encoded_ahead() -> None:
    measures = keyframes_ahead(Context(0.0, joins=(facts("field"), facts("log", 1.0, 60.0))))
    assert measures[0] == Measure(
        Site(Knob.KEYFRAME_AHEAD, "lab/field"),
        1.0,
        "lab",
        "3 receivers join lab/field every 5.0 s: its newest version is encoded before they come",
    )
    assert measures[1].reason.startswith("a receiver joins lab/log every 60.0 s: ")


def test_of_many_states_those_that_most_join_come_first_and_those_that_are_encoded_stay() -> None:
    joins = (*[facts(f"s{count}", count) for count in range(1, 9)], facts("old", 0.5, ahead=True))
    chosen = [measure.site.name for measure in keyframes_ahead(Context(0.0, joins=joins))]
    assert chosen == ["lab/old", "lab/s8", "lab/s7", "lab/s6"]
    assert len(chosen) == MOST


def test_an_overloaded_gateway_encodes_nothing_for_those_to_come() -> None:
    assert not keyframes_ahead(Context(0.0, overloaded=True, joins=(facts("field"),)))
