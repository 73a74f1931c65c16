"""Turns: while a queue is full, each sender gets one message in, and then everybody waits for room."""

from __future__ import annotations

from gateway.connections.sessions.turns import Turns


def test_each_sender_has_one_turn_until_there_is_room() -> None:
    turns = Turns()
    assert [turns.take(sender, 100, 100) for sender in (1, 1, 2, 1, 2)] == [True, False, True, False, False]
    turns.begin()
    assert [turns.take(sender, 100, 100) for sender in (1, 2, 1)] == [True, True, False]


def test_past_twice_the_bound_nobody_has_a_turn() -> None:
    turns = Turns()
    assert not turns.take(1, 200, 100)
    assert turns.take(1, 199, 100), "a turn that could not be had is not used up"
