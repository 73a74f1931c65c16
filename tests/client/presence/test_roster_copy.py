"""Tests the copy of a roster: parts, changes, and a roster that begins anew."""

from __future__ import annotations

from gateway.client.presence.roster_copy import RosterCopy
from gateway.protocol.presence import Members, PresentMember


def present(name: str, generation: int = 1) -> PresentMember:
    return PresentMember(name, "agent", 1, generation, {})


def test_a_roster_shows_when_it_is_complete() -> None:
    roster = RosterCopy()
    assert list(roster.take(Members("wf", 2, [present("a")], {"a": {"c": 1}}, roster=True, more=True))) == []
    assert (list(roster), roster.complete, roster.count) == ([], False, 2)
    assert set(roster.take(Members("wf", 2, [present("b")]))) == {"a", "b"}
    assert (list(roster), roster.complete) == (["a", "b"], True)
    member = roster.get("a")
    assert member is not None
    assert member.awareness == {"c": 1}


def test_changes_apply_in_the_order_of_the_fields() -> None:
    roster = RosterCopy()
    roster.take(Members("wf", 1, [present("a")], {"a": {"c": 1}}, roster=True))
    assert list(roster.take(Members("wf", 1, [present("a", 2)], None, ["a"]))) == ["a"]
    member = roster.get("a")
    assert member is not None
    assert (member.generation, member.awareness) == (2, None)
    roster.take(Members("wf", 1, None, {"a": {"c": 2}, "nobody": {"c": 3}}))
    assert set(roster.take(Members("wf", 1, None, {"a": None}))) == {"a"}
    assert roster.get("a") == member
    assert list(roster.take(Members("wf", 0, None, None, ["a", "nobody"]))) == ["a", "nobody"]
    assert (list(roster), roster.get("a")) == ([], None)


def test_behind_a_reconnect_the_members_stay_until_the_new_roster_is_complete() -> None:
    roster = RosterCopy()
    roster.take(Members("wf", 2, [present("a"), present("b")], roster=True))
    roster.take(Members("wf", 2, [present("c")], roster=True, more=True))
    assert set(roster) == {"a", "b"}
    assert set(roster.take(Members("wf", 2, [present("b")]))) == {"a", "b", "c"}
    assert set(roster) == {"b", "c"}


def test_a_roster_that_begins_anew_before_it_was_complete() -> None:
    roster = RosterCopy()
    roster.take(Members("wf", 2, [present("a")], roster=True, more=True))
    roster.take(Members("wf", 1, [present("b")], roster=True))
    assert set(roster) == {"b"}
