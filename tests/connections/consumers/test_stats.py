"""Numbers of consumers: sums over streams, and counters of consumers that are gone."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.connections.consumers.stats import ConsumerStats


@dataclass
class Counting:
    delivered: int
    redelivered: int
    expired: int
    dead_lettered: int


def test_every_counter_is_added_up() -> None:
    assert ConsumerStats().counting([]) == ConsumerStats()
    gone = ConsumerStats(present=5).counting([Counting(1, 2, 3, 4), Counting(10, 20, 30, 40)])
    assert gone == ConsumerStats(
        present=5,
        delivered_messages=11,
        redelivered_messages=22,
        expired_messages=33,
        dead_lettered_messages=44,
    )
    assert gone.deliveries == 33


def test_streams_are_added_up_field_by_field() -> None:
    one, two = ConsumerStats(*range(8)), ConsumerStats(*range(10, 90, 10))
    assert one.plus(two) == ConsumerStats(10, 21, 32, 43, 54, 65, 76, 87)
