"""How long publishers wait for receivers that are behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.connections.outbound import delayed_acks
from gateway.connections.outbound.delayed_acks import DelayedAcks, EventAcks
from gateway.protocol.signals import Ack
from tests.connections.memory import Peer, World


class Bench:
    """Receivers that are behind when the test says so, and a clock that it sets."""

    def __init__(self, max_hold_s: float = 10.0) -> None:
        self.behind = True
        self.world = World()
        self.clock = self.world.clock
        self.held = DelayedAcks(lambda: self.behind, self.clock, max_hold_s)
        self.peer: Peer = self.world.publisher("wf/tasks")

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
    bench.clock.advance(6.0)
    bench.ack(1)
    bench.clock.advance(4.01)
    assert bench.told == [0]
    bench.clock.advance(6.0)
    assert bench.told == [0, 1]
    assert bench.clock.timers == 0


def test_nothing_is_held_back_once_nobody_waits_for_receivers() -> None:
    bench = Bench()
    bench.ack(0)
    bench.held.release()
    bench.ack(1)
    assert bench.told == [0, 1]


def test_no_more_than_a_bound_are_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delayed_acks, "MAX_HELD", 2)
    bench = Bench()
    for offset in range(5):
        bench.ack(offset)
    assert bench.told == [0, 1, 2]
    assert len(bench.held) == 2


class EventBench:
    """Acknowledgements of an event stream, and a world for their clock and publishers."""

    def __init__(self, max_hold_s: float = 5.0) -> None:
        self.world = World()
        self.acks = EventAcks(self.world.clock, max_hold_s)
        self.peer: Peer = self.world.publisher("wf/events")
        self.other: Peer = self.world.publisher("wf/events")

    def ack(self, offset: int, peer: Peer | None = None) -> None:
        self.acks.send((peer or self.peer).session.connection, Ack(0, 1, offset + 1, offset))

    @property
    def told(self) -> list[int]:
        self.world.turn()
        return [ack.offset for ack in self.peer.read().acks]


def test_acknowledgements_of_events_wait_until_no_receiver_is_behind() -> None:
    bench = EventBench()
    told = []
    steps: list[Callable[[], None]] = [
        lambda: bench.ack(0),
        lambda: bench.acks.hold("one"),
        lambda: bench.ack(1),
        lambda: bench.acks.hold("two"),
        lambda: bench.acks.let_go("one"),
        lambda: bench.acks.let_go("never behind"),
        lambda: bench.acks.let_go("two"),
    ]
    for step in steps:
        step()
        told.append((list(bench.told), len(bench.acks), bench.acks.holding))
    assert told == [
        ([0], 0, False),
        ([0], 0, True),
        ([0], 1, True),
        ([0], 1, True),
        ([0], 1, True),
        ([0], 1, True),
        ([0, 1], 0, False),
    ]


def test_a_receiver_that_falls_behind_in_the_turn_in_which_another_has_caught_up_is_waited_for() -> None:
    bench = EventBench()
    bench.acks.hold("one")
    bench.ack(0)
    bench.acks.let_go("one")
    bench.acks.hold("two")
    assert bench.told == []
    bench.ack(1)
    assert (bench.told, len(bench.acks), bench.acks.holding) == ([], 2, True)


def test_receivers_that_are_behind_by_turns_do_not_hold_one_back_for_ever() -> None:
    bench = EventBench(max_hold_s=5.0)
    bench.acks.hold("one")
    bench.ack(0)
    for _ in range(3):
        bench.world.clock.advance(5.0)
        assert bench.told == []
    bench.world.clock.advance(5.1)
    assert bench.told == [0]
    bench.world.clock.advance(100.0)
    assert bench.world.clock.timers == 0


def test_each_is_held_back_for_as_long_as_the_first_one() -> None:
    bench = EventBench(max_hold_s=5.0)
    bench.acks.hold("one")
    for offset in range(4):
        bench.ack(offset)
        bench.world.clock.advance(1.0)
    bench.world.clock.advance(15.9)
    for offset in range(4):
        assert bench.told == list(range(offset))
        bench.world.clock.advance(0.2)
        assert bench.told == list(range(offset + 1))
        bench.world.clock.advance(0.8)


def let_go(acks: EventAcks) -> None:
    acks.let_go("one")


def release(acks: EventAcks) -> None:
    acks.release()


@pytest.mark.parametrize("end", [release, let_go])
def test_nothing_is_left_behind_for_a_publisher_that_is_gone(end: Callable[[EventAcks], object]) -> None:
    bench = EventBench()
    bench.acks.hold("one")
    bench.ack(0)
    bench.ack(1, bench.other)
    bench.acks.forget(bench.peer.session.connection)
    assert len(bench.acks) == 1
    end(bench.acks)
    assert bench.told == []
    assert [ack.offset for ack in bench.other.read().acks] == [1]
    assert not bench.acks.holding


def test_none_is_held_back_after_the_release_or_without_a_time() -> None:
    bench = EventBench(max_hold_s=0.0)
    bench.acks.hold("one")
    assert not bench.acks.holding
    bench = EventBench()
    bench.acks.release()
    bench.acks.hold("one")
    assert not bench.acks.holding
