"""Recognition: a pattern stays until another one has been ahead for a while; silence counts at once."""

from __future__ import annotations

from gateway.connections.collaboration.graph import Graph
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.collaboration.recognition import HELD_S, Recognition, recognize
from tests.connections.collaboration.test_pattern import graph_of

BROADCAST, FAN_IN, MESH = graph_of("a>b a>c"), graph_of("b>a c>a"), graph_of("a>b a>c b>a b>c c>a c>b")


def test_the_first_pattern_is_recognized_at_once() -> None:
    recognition = recognize(Recognition(), BROADCAST, 100.0)
    assert (recognition.pattern, recognition.since_s, recognition.challenger) == (GraphPattern.BROADCAST, 100.0, None)
    assert recognition.confidence > 0.9


def test_another_pattern_is_recognized_once_it_has_been_ahead_for_a_while() -> None:
    recognition = recognize(Recognition(), BROADCAST, 100.0)
    for now_s in (120.0, 121.0, 120.0 + HELD_S - 0.1):
        recognition = recognize(recognition, FAN_IN, now_s)
        assert (recognition.pattern, recognition.since_s) == (GraphPattern.BROADCAST, 100.0)
        assert (recognition.challenger, recognition.challenged_s) == (GraphPattern.FAN_IN, 120.0)
        assert recognition.confidence < 0.1
    recognition = recognize(recognition, FAN_IN, 120.0 + HELD_S)
    assert (recognition.pattern, recognition.since_s) == (GraphPattern.FAN_IN, 120.0 + HELD_S)
    assert recognition.challenger is None
    assert recognition.confidence > 0.9


def test_a_pattern_that_comes_back_has_lost_nothing() -> None:
    recognition = recognize(Recognition(), BROADCAST, 100.0)
    recognition = recognize(recognition, FAN_IN, 120.0)
    recognition = recognize(recognition, BROADCAST, 121.0)
    assert (recognition.pattern, recognition.since_s, recognition.challenger) == (GraphPattern.BROADCAST, 100.0, None)
    assert recognize(recognition, FAN_IN, 130.0).pattern is GraphPattern.BROADCAST


def test_patterns_that_are_ahead_in_turn_challenge_together() -> None:
    recognition = recognize(Recognition(), BROADCAST, 100.0)
    recognition = recognize(recognition, FAN_IN, 120.0)
    recognition = recognize(recognition, MESH, 120.0 + HELD_S)
    assert recognition.pattern is GraphPattern.MESH


def test_a_pattern_that_is_young_itself_is_given_up_after_its_own_age() -> None:
    recognition = recognize(Recognition(), BROADCAST, 100.0)
    recognition = recognize(recognition, FAN_IN, 101.0)
    assert recognition.pattern is GraphPattern.BROADCAST
    assert recognize(recognition, FAN_IN, 102.0).pattern is GraphPattern.FAN_IN


def test_silence_and_its_end_count_at_once() -> None:
    recognition = recognize(Recognition(), BROADCAST, 100.0)
    recognition = recognize(recognition, Graph(), 140.0)
    assert (recognition.pattern, recognition.since_s) == (GraphPattern.IDLE, 140.0)
    recognition = recognize(recognition, FAN_IN, 141.0)
    assert (recognition.pattern, recognition.since_s) == (GraphPattern.FAN_IN, 141.0)
