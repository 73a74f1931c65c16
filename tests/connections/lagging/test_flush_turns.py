"""Flush turns: every class is flushed, in its order, some in later turns, and only their publishers notice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.lagging.flush_turns import FEW_MEMBERS, FLUSH_S, FlushTurns
from tests.connections.memory import ManualClock

MANY = FEW_MEMBERS + 1
LONG_S = 1.5 * FLUSH_S


@dataclass(eq=False)
class Class:
    """A class of so many members."""

    name: str
    members: int = MANY

    def __len__(self) -> int:
        return self.members


@dataclass
class Publisher:
    """Reading of a publisher."""

    holders: set[object] = field(default_factory=set)

    def hold(self, holder: object) -> None:
        self.holders.add(holder)

    def release(self, holder: object) -> None:
        self.holders.remove(holder)


class Flushes:
    """Flush turns whose every flush takes some time."""

    def __init__(self, seconds: float) -> None:
        self.clock = ManualClock()
        self.seconds = seconds
        self.turns: FlushTurns[Class] = FlushTurns(self.clock, self.flush)
        self.flushed: list[str] = []

    def flush(self, *waiting: Class) -> list[str]:
        """Flush what is taken; return the names."""
        before = len(self.flushed)
        for each in self.turns.take(list(waiting)):
            self.flushed.append(each.name)
            self.clock.advance(self.seconds)
        return self.flushed[before:]

    def settle(self) -> None:
        """Let turns pass until nothing is left to do."""
        while self.clock.turn():
            pass


def test_classes_with_few_members_wait_for_no_other() -> None:
    flushes = Flushes(LONG_S)
    few = Class("few", FEW_MEMBERS)
    assert flushes.flush(Class("a"), Class("b"), few, Class("c"), few) == ["a", "few", "few"]
    assert [each.name for each in flushes.turns.left] == ["b", "c"]


def test_those_that_wait_come_first_in_the_next_turns() -> None:
    flushes = Flushes(LONG_S)
    a, b, c = Class("a"), Class("b"), Class("c")
    assert flushes.flush(a, b, c) == ["a"]
    assert flushes.flush(a) == [], "the time of the turn is over"
    flushes.settle()
    assert flushes.flushed == ["a", "b", "c", "a"]
    assert not flushes.turns.left


def test_no_turn_takes_more_however_often_there_is_a_flush_in_it() -> None:
    flushes = Flushes(LONG_S)
    classes = [Class(str(number)) for number in range(12)]
    counts = []
    for number in range(0, 12, 3):
        before = len(flushes.flushed)
        flushes.flush(*classes[number : number + 3])
        flushes.flush()
        flushes.clock.turn()
        counts.append(len(flushes.flushed) - before)
    while flushes.turns.left:
        before = len(flushes.flushed)
        flushes.clock.turn()
        counts.append(len(flushes.flushed) - before)
    assert max(counts) <= 2, "one in what is left of a turn, and one in the next"
    assert flushes.flushed == [each.name for each in classes]


def test_publishers_are_read_again_as_the_classes_are_flushed() -> None:
    flushes = Flushes(LONG_S)
    classes = [Class(str(number)) for number in range(4)]
    publishers = [Publisher() for _ in range(5)]
    flushes.flush(*classes)
    assert [flushes.turns.waits(each.name) for each in classes] == [False, True, True, True]
    for each in publishers:
        flushes.turns.hold_back(each)
    flushes.flush()
    assert all(each.holders for each in publishers), "the time of the turn is over"
    flushes.clock.turn()
    assert [bool(each.holders) for each in publishers] == [False, True, True, True, True]
    flushes.settle()
    assert not any(each.holders for each in publishers), "nobody waits when no class does"
    assert not any(flushes.turns.waits(each.name) for each in classes)


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([1, MANY])), max_size=6), max_size=8))
def test_none_is_lost_and_none_overtakes_one_of_its_size(batches: list[list[tuple[int, int]]]) -> None:
    """A class is scheduled when it has got its first message since it was flushed."""
    flushes = Flushes(LONG_S)
    classes = {key: Class(f"{key[0]}-{key[1]}", key[1]) for batch in batches for key in batch}
    scheduled: list[str] = []
    for batch in batches:
        keys = dict.fromkeys(batch)
        waiting = [classes[key] for key in keys if classes[key] not in flushes.turns.left]
        scheduled += [each.name for each in waiting]
        flushes.flush(*waiting)
        flushes.clock.turn()
    flushes.settle()
    assert Counter(flushes.flushed) == Counter(scheduled)
    many = [name for name in scheduled if name.endswith(f"-{MANY}")]
    assert [name for name in flushes.flushed if name.endswith(f"-{MANY}")] == many
    assert not flushes.turns.left
