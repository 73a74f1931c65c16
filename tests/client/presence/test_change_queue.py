"""Tests the changes that wait for a program: of each member at most one, and none starves."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client.presence.change_queue import ChangeQueue
from gateway.client.presence.presence_change import ChangeKind
from gateway.client.presence.roster_copy import RosterCopy
from gateway.errors import ConnectionFailed, UsageError
from gateway.protocol.presence import Members, PresentMember


class Told:
    """A roster, and a queue that is told what changes in it."""

    def __init__(self) -> None:
        self.roster = RosterCopy()
        self.queue = ChangeQueue(self.roster, lambda: None)

    def take(
        self,
        *members: PresentMember,
        left: tuple[str, ...] = (),
        awareness: dict[str, dict[str, int] | None] | None = None,
        roster: bool | None = None,
    ) -> None:
        self.queue.note(self.roster.take(Members("wf", 0, members, awareness, left, roster)))

    def changes(self) -> list[tuple[str, str]]:
        return [(change.kind.value, change.member.client_id) for change in iter(self.queue.take, None)]


def present(name: str, generation: int = 1, value: int = 0) -> PresentMember:
    return PresentMember(name, "agent", 1, generation, {"value": value})


def test_it_begins_with_all_members() -> None:
    told = Told()
    told.take(present("a"), present("b"), roster=True)
    assert told.changes() == [("joined", "a"), ("joined", "b")]
    late = ChangeQueue(told.roster, lambda: None)
    assert [change.member.client_id for change in iter(late.take, None)] == ["a", "b"]


def test_what_changes_before_it_is_taken_is_told_as_one() -> None:
    told = Told()
    told.take(present("a"), roster=True)
    told.changes()
    told.take(present("a", value=1), present("short"))
    told.take(present("a", value=2), left=("short",), awareness={"a": {"c": 1}})
    change = told.queue.take()
    assert change is not None
    assert (change.kind, change.member.metadata, change.member.awareness) == (
        ChangeKind.UPDATED,
        {"value": 2},
        {"c": 1},
    )
    assert told.changes() == []
    told.take(left=("a",))
    told.take(present("a", value=2), awareness={"a": {"c": 1}})
    assert told.changes() == []


def test_another_program_of_the_name_leaves_and_joins() -> None:
    told = Told()
    told.take(present("a"), roster=True)
    told.changes()
    told.take(present("a", generation=2), left=("a",))
    assert told.changes() == [("left", "a"), ("joined", "a")]


def test_a_roster_that_begins_anew_tells_true_comings_and_goings_only() -> None:
    told = Told()
    told.take(present("a"), present("b"), roster=True)
    told.changes()
    told.take(present("b"), present("c"), roster=True)
    assert sorted(told.changes()) == [("joined", "c"), ("left", "a")]


def test_a_member_that_changes_all_the_time_does_not_hold_up_others() -> None:
    told = Told()
    told.take(present("busy"), present("quiet"), roster=True)
    told.changes()
    told.take(awareness={"busy": {"c": 0}, "quiet": {"c": 0}})
    taken = []
    for at in range(1, 4):
        change = told.queue.take()
        assert change is not None
        taken.append(change.member.client_id)
        told.take(awareness={"busy": {"c": at}})
    assert taken[:2] == ["busy", "quiet"]


async def test_waiting_ends_with_a_change_an_end_or_an_error() -> None:
    told = Told()
    waiting = asyncio.ensure_future(told.queue.next())
    await asyncio.sleep(0)
    with pytest.raises(UsageError, match="iterates already"):
        await told.queue.next()
    told.take(present("a"), roster=True)
    assert (await waiting).member.client_id == "a"
    waiting = asyncio.ensure_future(told.queue.next())
    await asyncio.sleep(0)
    told.queue.end(None)
    with pytest.raises(StopAsyncIteration):
        await waiting
    other = Told()
    other.take(present("a"), roster=True)
    other.queue.end(ConnectionFailed("gone"))
    assert (await other.queue.next()).member.client_id == "a"
    with pytest.raises(ConnectionFailed, match="gone"):
        await other.queue.next()
