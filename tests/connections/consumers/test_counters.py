"""Tally: sums of consumers, those that are gone included."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.connections.consumers.counters import ConsumerCounters


@dataclass
class Counting:
    delivered: int
    replayed: int
    expired: int
    dead_lettered: int


def test_every_column_is_added_up() -> None:
    assert ConsumerCounters().plus([]) == ConsumerCounters(0, 0, 0, 0)
    gone = ConsumerCounters().plus([Counting(1, 2, 3, 4), Counting(10, 20, 30, 40)])
    assert gone == ConsumerCounters(delivered=11, redelivered=22, expired=33, dead_lettered=44)
    assert gone.plus([Counting(100, 200, 300, 400)]) == ConsumerCounters(111, 222, 333, 444)
