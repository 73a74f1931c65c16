"""Tests what a program is told between two states of a member."""

from __future__ import annotations

from dataclasses import replace

from gateway.client.presence.presence_change import ChangeKind, PresenceChange, PresenceMember, change_between

MEMBER = PresenceMember("a", "agent", 1, 7, {"x": 1})


def test_a_member_comes_changes_and_goes() -> None:
    assert change_between(None, None) is None
    assert change_between(MEMBER, MEMBER) is None
    assert change_between(None, MEMBER) == PresenceChange(ChangeKind.JOINED, MEMBER)
    assert change_between(MEMBER, None) == PresenceChange(ChangeKind.LEFT, MEMBER)
    for new in (replace(MEMBER, metadata={}), replace(MEMBER, peer=2, awareness={"c": 1})):
        assert change_between(MEMBER, new) == PresenceChange(ChangeKind.UPDATED, new)
    aware = replace(MEMBER, awareness={"c": 1})
    assert change_between(MEMBER, aware) == PresenceChange(ChangeKind.AWARENESS, aware)
    assert change_between(aware, MEMBER) == PresenceChange(ChangeKind.AWARENESS, MEMBER)


def test_another_program_of_the_name_is_another_member() -> None:
    assert change_between(MEMBER, replace(MEMBER, generation=8)) == PresenceChange(ChangeKind.LEFT, MEMBER)
