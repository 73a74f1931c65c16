"""Deadlines: found passed once, in order, never early, and nothing of the others is touched."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.sessions.deadlines import GRAIN_NS, Deadlines

TIMES = st.integers(0, 5 * GRAIN_NS)


def test_nothing_is_due_before_its_time() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.add("a", 10 * GRAIN_NS + 5)
    deadlines.add("b", 10 * GRAIN_NS + 3)
    assert not deadlines.take_due(10 * GRAIN_NS + 2)
    assert deadlines.take_due(10 * GRAIN_NS + 5) == ["b", "a"]
    assert not len(deadlines)


def test_what_is_not_there_is_not_forgotten_again() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.discard("a", 5)
    deadlines.add("a", 5)
    deadlines.discard("b", 5)
    deadlines.discard("a", 5)
    deadlines.discard("a", 5)
    assert not deadlines.take_due(10)


@given(st.lists(TIMES, max_size=30), st.sets(st.integers(0, 29)), st.lists(TIMES, max_size=5))
def test_every_item_is_due_once_at_the_first_look_after_its_deadline(
    times: list[int], gone: set[int], looks: list[int]
) -> None:
    deadlines: Deadlines[int] = Deadlines()
    for item, time_ns in enumerate(times):
        deadlines.add(item, time_ns)
    for item in gone & set(range(len(times))):
        deadlines.discard(item, times[item])
    left = {item: time_ns for item, time_ns in enumerate(times) if item not in gone}
    for now_ns in sorted(looks):
        due = deadlines.take_due(now_ns)
        assert [times[item] for item in due] == sorted(time_ns for time_ns in left.values() if time_ns <= now_ns)
        for item in due:
            del left[item]
        assert len(deadlines) == len(left)
