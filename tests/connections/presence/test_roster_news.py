"""Roster news: a frame a window for each watcher, encoded once, and no queue for one that does not read."""

from __future__ import annotations

import pytest

from gateway.connections.presence.roster import MAX_ENDS
from gateway.connections.presence.roster_news import PART_BYTES, WATCHERS_A_STEP
from gateway.connections.presence.scope import Scope
from tests.connections.memory import World
from tests.connections.presence.attending import WINDOW_S, join, leave, pass_window, show, watch
from tests.connections.text_messages import person


def made_and_sent(world: World) -> tuple[int, int]:
    """Frames made, and sent, so far."""
    announcements = world.core.presence._news
    return announcements.frames, announcements.sent


def test_a_storm_of_joins_costs_each_watcher_a_frame_a_window_encoded_once_for_a_format() -> None:
    world = World(max_connections=2000)
    views = [watch(world.peer()) for _ in range(100)]
    people = [person(world) for _ in range(3)]
    for somebody in people:
        somebody.send('{"id":7,"message_type":"attend","payload":{"scope":"wf","watch":"members"}}')
    pass_window(world)
    made, sent = made_and_sent(world)
    for number in range(50):
        join(world.peer(f"member-{number}"))
    world.settle()
    for number in range(50, 1000):  # all within the window
        join(world.peer(f"member-{number}"))
    pass_window(world)
    frames, frames_sent = made_and_sent(world)
    parts = len(views[0].read().frames) - 1
    assert parts < 12  # of 16 KiB each
    assert (frames - made, frames_sent - sent) == (2 * parts, 103 * parts)
    for view in views:
        assert len(view.read().members) == 1000
        assert len(view.frames) == parts + 1


def test_the_first_change_behind_a_quiet_window_is_told_at_once_and_the_next_with_the_window() -> None:
    world = World()
    view, member = watch(world.peer()), world.peer("member")
    pass_window(world)
    world.clock.advance(WINDOW_S)
    join(member, a=1)
    world.turn()
    assert view.read().metadata == {"member": {"a": 1}}
    join(member, a=2)
    world.turn()
    assert view.read().metadata == {"member": {"a": 1}}
    world.clock.advance(WINDOW_S)
    world.turn()
    assert view.read().metadata == {"member": {"a": 2}}
    assert not world.clock.timers


def test_who_joins_and_leaves_within_a_window_is_not_told() -> None:
    world = World()
    view = watch(world.peer())
    pass_window(world)
    join(world.peer("first"))
    world.settle()
    member = world.peer("short")
    join(member)
    leave(member)
    pass_window(world)
    assert not any(frame.members for frame in view.read().frames[2:])


def test_a_large_roster_comes_in_parts_of_which_the_last_says_so() -> None:
    world = World(max_connections=1000)
    for number in range(500):
        join(world.peer(f"member-{number}"), text="x" * 100)
    view = watch(world.peer())
    pass_window(world)
    frames = view.read().frames
    assert len(frames) > 100_000 / PART_BYTES
    assert [frame.roster for frame in frames] == [True] + [None] * (len(frames) - 1)
    assert [frame.more for frame in frames] == [True] * (len(frames) - 1) + [None]
    assert len(view.members) == 500


def test_a_large_roster_is_told_to_a_newcomer_behind_ends_that_all_others_know() -> None:
    world = World(max_connections=1000)
    first = watch(world.peer())
    members = [world.peer(f"member-{number}") for number in range(500)]
    for member in members:
        join(member, text="x" * 100)
    pass_window(world)
    leave(members.pop())
    pass_window(world)
    newcomer = watch(world.peer())
    pass_window(world)
    assert set(newcomer.read().members) == set(first.read().members)
    assert [frame.roster for frame in newcomer.frames] == [True] + [None] * (len(newcomer.frames) - 1)
    assert newcomer.complete
    assert len(newcomer.frames) > 1


def test_a_watcher_that_does_not_read_has_one_frame_waiting_and_gets_the_newest_when_it_does() -> None:
    world = World()
    reader, sleeper = watch(world.peer()), watch(world.peer())
    members = [world.peer(f"member-{number}") for number in range(3)]
    for member in members:
        join(member)
    pass_window(world)
    sleeper.read()
    known = len(sleeper.frames)
    transport = sleeper.peer.transport
    transport.fill_up()
    for at in range(100):
        for member in members:
            show(member, at=at)
        pass_window(world)
    leave(members[2])
    pass_window(world)
    assert len(reader.read().frames) >= 100
    assert len(transport.writes) == 1
    transport.read_on()
    pass_window(world)
    assert sleeper.read().awareness == {"member-0": {"at": 99}, "member-1": {"at": 99}} == reader.awareness
    assert set(sleeper.members) == {"member-0", "member-1"}
    assert len(sleeper.frames) == known + 2
    assert not world.clock.timers


def test_a_watcher_behind_very_many_ends_gets_the_roster_anew() -> None:
    world = World()
    sleeper, member, other = watch(world.peer()), world.peer("stays"), world.peer("other")
    join(member)
    join(other)
    pass_window(world)
    sleeper.peer.transport.fill_up()
    leave(other)
    pass_window(world)  # the frame that waits
    for _ in range(MAX_ENDS + 1):
        join(other)
        leave(other)
    pass_window(world)
    scope = world.core.presence.get("wf")
    assert isinstance(scope, Scope)
    assert len(scope.roster._log) <= MAX_ENDS + 1
    sleeper.peer.transport.read_on()
    pass_window(world)
    assert [frame.roster for frame in sleeper.read().frames[-2:]] == [None, True]
    assert set(sleeper.members) == {"stays"}


def test_nothing_is_remembered_of_those_who_left_once_all_know() -> None:
    world = World()
    watch(world.peer())
    member, other = world.peer(), world.peer()
    join(member)
    for _ in range(100):
        join(other)
        pass_window(world)
        leave(other)
        pass_window(world)
    scope = world.core.presence.get("wf")
    assert isinstance(scope, Scope)
    assert len(scope.roster._log) == 1


@pytest.mark.parametrize("watchers", [1, 3 * WATCHERS_A_STEP])
def test_who_stops_to_watch_while_others_are_told_is_told_no_more(watchers: int) -> None:
    world = World(max_connections=1000)
    views = [watch(world.peer()) for _ in range(watchers)]
    pass_window(world)
    for view in views:
        view.read()
    join(world.peer("member"))
    world.take_one_step_a_turn()
    world.turns(2)
    leave(views[-1].peer)
    views[-1].peer.forget()
    world.settle()
    assert views[-1].read().frames[1:] == []
    assert all(view.read().metadata for view in views[:-1])


def test_a_closed_connection_is_not_waited_for() -> None:
    world = World()
    view = watch(world.peer())
    pass_window(world)
    view.peer.session.connection.close(1011, "gone")
    join(world.peer())
    pass_window(world)
    pass_window(world)
    assert not world.clock.timers
