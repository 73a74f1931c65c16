"""Taken rate: measured only while a receiver lags."""

from __future__ import annotations

from gateway.connections.planning.facts.taken_rate import TakenRate
from tests.connections.planning.fan_in import FanIn


def test_the_rate_counts_while_the_receiver_lags_at_both_ends() -> None:
    scene = FanIn(awaits=False)
    taken = TakenRate(scene.connection, 0.0)
    scene.publish(50)
    scene.read()
    taken.look(1.0)
    assert taken.taken_bytes > 0
    assert taken.bytes_per_s == 0.0, "it did not lag at first"
    before = scene.event_bytes
    scene.read()
    taken.look(1.5)
    assert taken.taken_bytes == before - scene.event_bytes
    assert taken.bytes_per_s == 2 * taken.taken_bytes


def test_a_span_in_which_nothing_is_taken_changes_nothing() -> None:
    scene = FanIn(awaits=False)
    scene.publish(50)
    taken = TakenRate(scene.connection, 0.0)
    scene.read()
    taken.look(1.0)
    rate = taken.bytes_per_s
    assert rate
    taken.look(2.0)
    assert (taken.taken_bytes, taken.bytes_per_s) == (0, rate)
