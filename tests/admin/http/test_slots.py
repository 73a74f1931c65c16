"""Slots: the least useful connection makes room, and none stays in a phase for longer than it may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.http.slots import TIMEOUTS_S, ConnectionSlots, Phase

ENDED_BY_THE_PORT = [Phase.IDLE, Phase.UNFINISHED, Phase.UNREAD]


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def slots_of(watch: Watch, phases: dict[str, Phase], places: int = 10) -> ConnectionSlots[str]:
    """Connections that came one after the other, a second apart."""
    slots = ConnectionSlots[str](places, watch)
    for connection, phase in phases.items():
        slots.enter(connection, phase)
        watch.now_s += 1.0
    return slots


def test_the_least_useful_one_makes_room() -> None:
    phases = {
        "answering": Phase.ANSWERING,
        "unread": Phase.UNREAD,
        "unfinished": Phase.UNFINISHED,
        "idle": Phase.IDLE,
        "idle too": Phase.IDLE,
    }
    slots = slots_of(Watch(), phases)
    gone = []
    while (connection := slots.dispensable()) is not None:
        gone.append(connection)
        slots.leave(connection)
    assert gone == ["idle", "idle too", "unfinished", "unread"]
    assert len(slots) == 1


def test_it_is_full_when_all_places_are_taken() -> None:
    slots = slots_of(Watch(), {"a": Phase.IDLE, "b": Phase.ANSWERING}, places=2)
    assert slots.full
    slots.leave("a")
    slots.leave("a")
    assert not slots.full


@pytest.mark.parametrize("phase", ENDED_BY_THE_PORT)
def test_the_time_in_a_phase_ends(phase: Phase) -> None:
    watch = Watch()
    slots = slots_of(watch, {"a": phase, "b": phase})
    watch.now_s = TIMEOUTS_S[phase]
    assert list(slots.overdue()) == [("a", phase)]
    watch.now_s += 1.0
    assert list(slots.overdue()) == [("a", phase), ("b", phase)]


def test_what_is_being_answered_may_take_its_time() -> None:
    watch = Watch()
    slots = slots_of(watch, {"a": Phase.ANSWERING})
    watch.now_s = 1e6
    assert not list(slots.overdue())


def test_bytes_that_complete_nothing_win_no_time() -> None:
    watch = Watch()
    slots = slots_of(watch, {"drips": Phase.UNFINISHED, "later": Phase.UNFINISHED})
    slots.enter("drips", Phase.UNFINISHED)
    assert slots.dispensable() == "drips"
    watch.now_s = TIMEOUTS_S[Phase.UNFINISHED]
    assert [connection for connection, _ in slots.overdue()] == ["drips"]


def test_progress_wins_time() -> None:
    watch = Watch()
    slots = slots_of(watch, {"reads": Phase.UNREAD, "reads not": Phase.UNREAD})
    slots.enter("reads", Phase.ANSWERING)
    slots.enter("reads", Phase.UNREAD)
    assert slots.dispensable() == "reads not"
    watch.now_s = TIMEOUTS_S[Phase.UNREAD] + 1.5
    assert [connection for connection, _ in slots.overdue()] == ["reads not"]


def test_a_connection_may_leave_while_it_is_ended() -> None:
    watch = Watch()
    slots = slots_of(watch, {"a": Phase.IDLE, "b": Phase.IDLE})
    watch.now_s = 100.0
    for connection, _ in slots.overdue():
        slots.leave(connection)
    assert not len(slots)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([*Phase, None]))))
def test_each_connection_has_one_phase(moves: list[tuple[int, Phase | None]]) -> None:
    slots = ConnectionSlots[int](3, Watch())
    phases: dict[int, Phase] = {}
    for connection, phase in moves:
        if phase is None:
            slots.leave(connection)
            phases.pop(connection, None)
        else:
            slots.enter(connection, phase)
            phases[connection] = phase
        dispensable = slots.dispensable()
        assert len(slots) == len(phases)
        assert (dispensable is None) == all(phase is Phase.ANSWERING for phase in phases.values())
        assert dispensable is None or phases[dispensable] == min(phases.values(), key=lambda phase: phase.value)
