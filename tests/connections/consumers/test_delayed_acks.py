"""How long publishers wait for receivers that are behind."""

from __future__ import annotations

from gateway.connections.consumers.delayed_acks import DelayedAcks
from gateway.protocol.signals import Ack
from tests.connections.memory import Peer, World


class Bench:
    """Receivers that are behind when the test says so, and a clock that it sets."""

    def __init__(self, max_hold_s: float = 10.0) -> None:
        self.behind = True
        self.now_s = 100.0
        self.held = DelayedAcks(lambda: self.behind, lambda: self.now_s, max_hold_s)
        self.peer: Peer = World().publisher("wf/tasks")

    def ack(self, offset: int) -> None:
        self.held.send(self.peer.session.connection, Ack(0, 1, offset + 1, offset))

    @property
    def told(self) -> list[int]:
        return [ack.offset for ack in self.peer.read().acks]


def test_who_is_not_behind_is_not_waited_for() -> None:
    bench = Bench()
    bench.behind = False
    bench.ack(0)
    assert bench.told == [0]


def test_they_are_told_in_order_once_receivers_have_caught_up() -> None:
    bench = Bench()
    bench.ack(0)
    bench.behind = False
    # Not before the one that waits.
    bench.ack(1)
    assert bench.told == []
    bench.held.flush()
    assert bench.told == [0, 1]
    bench.ack(2)
    assert bench.told == [0, 1, 2]


def test_one_is_held_back_for_so_long_and_no_longer() -> None:
    bench = Bench(max_hold_s=10.0)
    bench.ack(0)
    bench.now_s += 6.0
    bench.ack(1)
    bench.now_s += 4.0
    bench.held.flush()
    assert bench.told == [0]
    bench.now_s += 6.0
    bench.held.flush()
    assert bench.told == [0, 1]


def test_nothing_is_held_back_once_nobody_waits_for_receivers() -> None:
    bench = Bench()
    bench.ack(0)
    bench.held.release()
    bench.ack(1)
    assert bench.told == [0, 1]
